/*
 * log.h - one line per event on standard error: the level, the event's name,
 * the id of what it concerns, then key=value pairs.
 *
 *     log_event(LOG_INFO, "stream-up", id, "local=%s remote=%s", local, remote);
 *     info stream-up id=o17 local=corp.test remote=partner.test
 *
 * Values that come from outside pass through log_value(), which quotes and
 * escapes them, so that no value can forge a line. Message bodies and dialback
 * keys are never passed to this module.
 */
#ifndef POOLBRIDGE_CORE_LOG_H
#define POOLBRIDGE_CORE_LOG_H

#include "bridge/core/base.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Prefix each line with systemd's <n> priority (when standard error is the journal). */
void log_set_journal(bool on);

/*
 * log_event(enum log_level level, const char *event, const char *id, const char *fmt, ...)
 *
 * event: a lower-case word-with-hyphens. id: what it concerns, or NULL. fmt: "key=value ..." or NULL.
 * Of an event that the level leaves out, the other arguments are not even evaluated; the level may be twice.
 */
#define log_event(level, ...) (log_has(level) ? log_write(level, __VA_ARGS__) : (void)0)

void log_write(enum log_level level, const char *event, const char *id, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

extern enum log_level log_threshold; /* log_set_level() */

static inline bool log_has(enum log_level level)
{
	return level <= log_threshold;
}

/*
 * A value made safe for a log line: quoted when it holds anything but
 * [A-Za-z0-9._@/:;+-], controls and quotes escaped, cut at 256 bytes.
 * The result lives in one of eight rotating static buffers: enough for one line.
 */
const char *log_value(const char *value);

#endif
