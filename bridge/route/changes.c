/*
 * changes.c - follows the registry's audit, and ends moves that take too long.
 *
 * Four times a second the registry is asked whether anybody has committed
 * (PRAGMA data_version); if so, the audit's new rows name who was changed. Each
 * user is told of once, however often he was marked meanwhile.
 *
 * The end of a move is an ordinary change, by the actor "poolbridge", in one
 * transaction with the look at who is overdue. While another program has the
 * registry locked, it waits for the next turn. Nothing of this is kept here, so
 * a restart loses nothing: since when a user is moving stands in the registry.
 *
 * A registry that cannot be read or written, or is not where it was opened any more, is
 * logged when it begins, and tried again. Nothing is fatal.
 */
#include "bridge/route/changes.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/core/hash.h"
#include "bridge/core/log.h"
#include "db/audit.h"
#include "db/move.h"

enum {
	TICK_MS = 250,
	RETRY_MS = 1000,  /* while the registry is locked: each try may wait for the lock */
	NAMES_MAX = 1000, /* more users at once than are named one by one */
	ENDS_A_TICK = 200,
	SUBSCRIBERS_MAX = 8
};

#define ACTOR "poolbridge"

#define UNKNOWN_VERSION INT64_MIN /* the audit is read, whatever the file says */

struct subscriber {
	changed_fn *fn;
	void *ctx;
};

struct changes {
	struct changes_setup setup;
	struct subscriber subscribers[SUBSCRIBERS_MAX];
	size_t subscriber_count;
	struct loop_timer *tick;
	int64_t version, seen; /* PRAGMA data_version; the audit's newest row that was told of */
	bool failing;          /* and it is in the log */
	uint64_t ended;
};

/* --- who was changed --- */

struct name {
	UT_hash_handle hh;
	char user[];
};

struct news {
	struct name *names;
	size_t rows;
	bool everybody;
};

static void add_name(struct news *n, const char *user)
{
	struct name *name;

	HASH_FIND_STR(n->names, user, name);
	if (name != NULL)
		return;
	name = xcalloc(1, sizeof(*name) + strlen(user) + 1);
	strcpy(name->user, user);
	HASH_ADD_STR(n->names, user, name);
}

/* Under his new address he is somebody else. */
static void add_new_address(struct news *n, const char *row)
{
	json_t *user = row != NULL ? json_loads(row, 0, NULL) : NULL;
	const char *address = json_string_value(json_object_get(user, "address"));

	if (address != NULL)
		add_name(n, address);
	json_decref(user);
}

static bool read_entry(void *ctx, const struct audit_entry *e)
{
	struct news *n = ctx;

	if (++n->rows > NAMES_MAX || strcmp(e->object, "user") != 0) {
		n->everybody = true;
		return false;
	}
	add_name(n, e->key);
	add_new_address(n, e->after);
	return true;
}

static void tell(const struct changes *c, const char *user)
{
	log_event(LOG_DEBUG, "registry-changed", NULL, "user=%s", user != NULL ? log_value(user) : "any");
	for (size_t i = 0; i < c->subscriber_count; i++)
		c->subscribers[i].fn(c->subscribers[i].ctx, user);
}

/* Frees the names. */
static void tell_news(const struct changes *c, struct news *n, bool all_read)
{
	struct name *name, *next;

	if (all_read && n->everybody)
		tell(c, NULL);
	HASH_ITER (hh, n->names, name, next) {
		if (all_read && !n->everybody)
			tell(c, name->user);
		HASH_DEL(n->names, name);
		free(name);
	}
}

/* Told of only when all was read: else the same is read again. */
static enum err follow_audit(struct changes *c)
{
	struct news n = { .everybody = false };
	int64_t last;
	enum err e = audit_last(c->setup.registry, &last);

	if (e != OK || last == c->seen)
		return e;
	if (last > c->seen)
		e = audit_each(c->setup.registry,
			       &(struct audit_filter){ .after_id = c->seen, .limit = NAMES_MAX + 1 },
			       read_entry, &n);
	/* Numbers are never used twice: an older file in this one's place, or entries that were erased. */
	if (e == OK && (int64_t)n.rows != last - c->seen)
		n.everybody = true;
	if (e == OK)
		c->seen = last;
	tell_news(c, &n, e == OK);
	return e;
}

static enum err look(struct changes *c)
{
	int64_t version;
	enum err e = db_check_place(c->setup.registry);

	if (e == OK)
		e = db_data_version(c->setup.registry, &version);
	if (e == OK && version != c->version)
		e = follow_audit(c);
	if (e == OK)
		c->version = version;
	return e;
}

/* --- moves that nobody ends --- */

/* One that was put back; in the log when it is in the registry. */
struct ended {
	char *user, *since;
	const char *back_to; /* static */
	struct ended *next;
};

struct endings {
	struct ended *list;
	unsigned count;
};

static void on_end(void *ctx, const struct move *m)
{
	struct endings *all = ctx;
	struct ended *one = xcalloc(1, sizeof(*one));

	one->user = xstrdup(m->address);
	one->since = xstrdup(m->since);
	one->back_to = m->listed ? mark_name(m->mark) : "unlisted";
	LL_APPEND(all->list, one);
	all->count++;
}

static void log_end(const struct changes *c, const struct ended *one)
{
	log_event(
		LOG_WARNING, "move-ended", NULL,
		"user=%s since=%s limit_s=%lld back_to=%s "
		"hint=\"nobody said that the move was done; what was held goes back; to move the user, mark "
		"him moving again, and migrated or legacy when it is done\"",
		log_value(one->user), log_value(one->since), (long long)(c->setup.move_limit_ms / 1000),
		one->back_to);
}

static void free_endings(struct endings *all)
{
	struct ended *one, *next;

	LL_FOREACH_SAFE (all->list, one, next) {
		free(one->user);
		free(one->since);
		free(one);
	}
}

/* The data version is of other connections: what is written here is looked for, now or, should that fail, later. */
static enum err end_overdue(struct changes *c)
{
	struct db *db = c->setup.registry;
	struct endings all = { .list = NULL };
	const struct ended *one;
	struct move_counts counts;
	enum err e = move_count(db, c->setup.move_limit_ms, &counts);

	if (e == OK && counts.overdue == 0)
		return OK;
	if (e == OK)
		e = db_begin(db, ACTOR);
	if (e != OK)
		return e;
	c->version = UNKNOWN_VERSION;
	e = move_end_overdue(db, c->setup.move_limit_ms, ENDS_A_TICK, on_end, &all);
	if (e == OK)
		e = db_commit(db);
	else
		db_rollback(db);
	if (e == OK) {
		c->ended += all.count;
		LL_FOREACH (all.list, one)
			log_end(c, one);
		e = look(c);
	}
	free_endings(&all);
	return e;
}

/* --- time --- */

/* Once when it begins, and once when it is over. */
static void note_health(struct changes *c, enum err e)
{
	if ((e != OK) == c->failing)
		return;
	c->failing = e != OK;
	if (c->failing)
		log_event(LOG_WARNING, "registry-not-followed", NULL, "why=%s hint=%s",
			  log_value(db_error(c->setup.registry)), log_value(db_mend(c->setup.registry, e)));
	else
		log_event(LOG_NOTICE, "registry-followed", NULL, NULL);
}

static void on_tick(void *ctx)
{
	struct changes *c = ctx;
	enum err e = look(c);

	if (e == OK)
		e = end_overdue(c);
	note_health(c, e);
	loop_timer_set(c->tick, e == OK ? TICK_MS : RETRY_MS);
}

/* --- the object --- */

enum err changes_create(const struct changes_setup *setup, struct changes **out)
{
	struct changes *c = xcalloc(1, sizeof(*c));
	enum err e;

	c->setup = *setup;
	e = db_data_version(setup->registry, &c->version);
	if (e == OK)
		e = audit_last(setup->registry, &c->seen);
	if (e != OK) {
		free(c);
		return e;
	}
	c->tick = loop_timer_create(setup->loop, on_tick, c);
	loop_timer_set(c->tick, TICK_MS);
	*out = c;
	return OK;
}

void changes_subscribe(struct changes *c, changed_fn *fn, void *ctx)
{
	if (c->subscriber_count == SUBSCRIBERS_MAX)
		abort();
	c->subscribers[c->subscriber_count++] = (struct subscriber){ fn, ctx };
}

void changes_stop(struct changes *c)
{
	loop_timer_cancel(c->tick);
}

void changes_destroy(struct changes *c)
{
	if (c == NULL)
		return;
	loop_timer_destroy(c->tick);
	free(c);
}

json_t *changes_status(const struct changes *c)
{
	struct move_counts counts;

	if (move_count(c->setup.registry, c->setup.move_limit_ms, &counts) != OK)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "moving", (json_int_t)counts.moving, "overdue",
			 (json_int_t)counts.overdue, "ended", (json_int_t)c->ended);
}
