/*
 * config_internal.h - what config_options.c (the table), config.c (the reader)
 * and config_check.c share: names, where in which file each option was given,
 * and how a fault is worded.
 */
#ifndef POOLBRIDGE_CORE_CONFIG_INTERNAL_H
#define POOLBRIDGE_CORE_CONFIG_INTERNAL_H

#include "bridge/core/config.h"

enum { CONFIG_OPTIONS_MAX = 128, CONFIG_NAME_SHOWN = 64 /* bytes of a foreign word in a message */ };

size_t config_option_count(void);
const struct config_option *config_option_at(size_t i);
bool config_is_group(const char *name);
/* The known name nearest to an unknown one, NULL when none is near. The right word in the wrong group is near. */
const char *config_nearest(const char *name);

struct config_place {
	const char *file; /* differs from config.file for an @include */
	unsigned line;    /* 0: not given, the default holds */
};

/* A struct config with its memory; config is the first member, so that one is the other. */
struct config_loaded {
	struct config config;
	struct config_place place[CONFIG_OPTIONS_MAX]; /* in the order of the table */
	char **strings;                                /* all that config points to */
	size_t string_count;
};

/* Write the fault to the static buffer and point *why at it; always the error given. */
enum err config_fault(const char **why, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "FILE:LINE: option 'NAME'", or "FILE: option 'NAME' (not given)"; a static buffer. */
const char *config_where(const struct config_loaded *c, const char *name);

#endif
