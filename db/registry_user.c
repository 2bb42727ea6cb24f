/*
 * registry_user.c - the table user: one row for each address that has a mark.
 *
 * A look-up is one descent of the primary key's b-tree; lists walk it in order
 * of address. That the address is normalised, and its domain in the registry, is
 * checked by the schema; that it is not is told apart here, after the refusal,
 * so that loading a million users does not pay for it.
 */
#include "db/registry.h"

#include <string.h>

#include "db/registry_view_internal.h"
#include "db/row.h"

#define USER_COLUMNS "address, domain, mark, " ROW_IS_TRUE("xmpp_access")
/* ?1 domain, ?2 the address to start after, ?3 mark; NULL means any. */
#define USER_FILTER                                                                                          \
	" FROM user WHERE address > ?2 AND (?1 IS NULL OR domain = ?1) AND (?3 IS NULL OR mark = ?3)"

static enum err read_user(struct db *db, struct statement *st, struct user *out)
{
	struct user u = { 0 };

	if (!str_copy(u.address, sizeof(u.address), statement_text(st, 0)) || !statement_text(st, 1) ||
	    !str_copy(u.domain, sizeof(u.domain), statement_text(st, 1)) ||
	    mark_parse(statement_text(st, 2), &u.mark) != OK)
		return row_damaged(db, "user", statement_text(st, 0));
	u.xmpp_access = statement_int(st, 3) != 0;
	*out = u;
	return OK;
}

static const char *domain_of(const char *address)
{
	const char *at = strchr(address, '@');

	return at ? at + 1 : NULL;
}

static enum err read_one(struct db *db, const char *address, struct user *out)
{
	struct statement *st = statement_open(db, "SELECT " USER_COLUMNS " FROM user WHERE address = ?1");
	enum err e = ERR_NOT_FOUND;

	statement_bind_text(st, 1, address);
	if (statement_step(st))
		e = read_user(db, st, out);
	return statement_close_with(st, e);
}

/* What a row says besides its key: its domain is the part of the address behind the @. */
struct kept_user {
	enum mark mark;
	bool xmpp_access;
};

enum err registry_find_user(struct db *db, const char *address, struct user *out)
{
	struct kept_user kept = { 0 };
	enum err e = ERR_NOT_FOUND;

	if (view_find(db, VIEW_USERS, address, &kept, sizeof(kept), &e)) {
		if (e != OK)
			return e;
		str_copy(out->address, sizeof(out->address), address);
		str_copy(out->domain, sizeof(out->domain), domain_of(address));
		out->mark = kept.mark;
		out->xmpp_access = kept.xmpp_access;
		return OK;
	}
	e = read_one(db, address, out);
	if (e == OK)
		kept = (struct kept_user){ out->mark, out->xmpp_access };
	return view_keep(db, VIEW_USERS, address, &kept, sizeof(kept), e);
}

/* Why an insert was refused: most often the domain is not there. */
static enum err told_apart(struct db *db, const char *address)
{
	struct domain d;

	if (domain_of(address) && registry_find_domain(db, domain_of(address), &d) == ERR_NOT_FOUND)
		return ERR_NOT_FOUND;
	return ERR_REFUSED;
}

/* False: he is not listed, or has that mark already. Insert triggers read more, and a wave of users is listed. */
static enum err mark_listed(struct db *db, const char *address, enum mark mark, bool *changed)
{
	struct statement *st =
		statement_open(db, "UPDATE user SET mark = ?2 WHERE address = ?1 AND mark <> ?2");
	int64_t changes = 0;
	enum err e;

	statement_bind_text(st, 1, address);
	statement_bind_text(st, 2, mark_name(mark));
	e = statement_run(st, &changes);
	*changed = changes > 0;
	return e;
}

static enum err list_and_mark(struct db *db, const char *address, enum mark mark, bool *changed)
{
	struct statement *st =
		statement_open(db, "INSERT INTO user (address, domain, mark) VALUES (?1, ?2, ?3) "
				   "ON CONFLICT (address) DO NOTHING");
	int64_t changes = 0;
	enum err e;

	statement_bind_text(st, 1, address);
	statement_bind_text(st, 2, domain_of(address));
	statement_bind_text(st, 3, mark_name(mark));
	e = statement_run(st, &changes);
	*changed = changes > 0;
	return e == ERR_REFUSED ? told_apart(db, address) : e;
}

enum err registry_mark_user(struct db *db, const char *address, enum mark mark, bool *changed)
{
	bool done = false;
	enum err e = mark_listed(db, address, mark, &done);

	if (e == OK && !done)
		e = list_and_mark(db, address, mark, &done);
	if (e == OK && changed)
		*changed = done;
	return e;
}

enum err registry_mark_listed(struct db *db, const char *addresses, enum mark mark, int64_t *changed)
{
	struct statement *st =
		statement_open(db, "UPDATE user SET mark = ?2 "
				   "WHERE address IN (SELECT value FROM json_each(?1)) AND mark <> ?2");

	statement_bind_text(st, 1, addresses);
	statement_bind_text(st, 2, mark_name(mark));
	return statement_run(st, changed);
}

enum err registry_each_unlisted(struct db *db, const char *addresses,
				void (*fn)(void *ctx, const char *address), void *ctx)
{
	struct statement *st = statement_open(
		db, "SELECT value FROM json_each(?1) AS wanted "
		    "WHERE NOT EXISTS (SELECT 1 FROM user WHERE address = wanted.value) ORDER BY value");

	statement_bind_text(st, 1, addresses);
	while (statement_step(st))
		fn(ctx, statement_text(st, 0));
	return statement_close(st);
}

enum err registry_set_user_access(struct db *db, const char *address, bool access)
{
	struct statement *st = statement_open(db, "UPDATE user SET xmpp_access = ?2 WHERE address = ?1");

	statement_bind_text(st, 1, address);
	statement_bind_int(st, 2, access);
	return statement_run_on_row(st);
}

enum err registry_remove_user(struct db *db, const char *address)
{
	struct statement *st = statement_open(db, "DELETE FROM user WHERE address = ?1");

	statement_bind_text(st, 1, address);
	return statement_run_on_row(st);
}

static struct statement *open_filter(struct db *db, const char *sql, const struct user_filter *filter)
{
	struct statement *st = statement_open(db, sql);

	statement_bind_text(st, 1, filter->domain);
	statement_bind_text(st, 2, filter->after ? filter->after : "");
	statement_bind_text(st, 3, filter->has_mark ? mark_name(filter->mark) : NULL);
	return st;
}

enum err registry_each_user(struct db *db, const struct user_filter *filter,
			    bool (*fn)(void *ctx, const struct user *u), void *ctx)
{
	struct statement *st =
		open_filter(db, "SELECT " USER_COLUMNS USER_FILTER " ORDER BY address LIMIT ?4", filter);
	struct user u;
	enum err e = OK;

	statement_bind_int(st, 4, filter->limit ? (int64_t)filter->limit : -1);
	while (e == OK && statement_step(st)) {
		e = read_user(db, st, &u);
		if (e == OK && !fn(ctx, &u))
			break;
	}
	return statement_close_with(st, e);
}

enum err registry_count_users(struct db *db, const struct user_filter *filter, int64_t *out)
{
	return statement_run_number(open_filter(db, "SELECT count(*)" USER_FILTER, filter), out);
}
