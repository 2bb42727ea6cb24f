/*
 * registry.h - domains, partners with their aliases, and users.
 *
 * Names and addresses given here are normalised already (jid_parse,
 * jid_domain): the registry compares bytes. Reading needs no transaction;
 * every change needs one (db_begin). Each look-up is one indexed read.
 *
 * add_*: ERR_EXISTS. set_*, remove_* and find_*: ERR_NOT_FOUND. A broken rule
 * of the schema is ERR_REFUSED (db_error has the words); a failing database ERR_IO.
 */
#ifndef POOLBRIDGE_DB_REGISTRY_H
#define POOLBRIDGE_DB_REGISTRY_H

#include "db/db.h"

#define REGISTRY_DOMAIN_SIZE  254
#define REGISTRY_ADDRESS_SIZE 1278 /* JID_BARE_SIZE */
#define REGISTRY_TEXT_SIZE    512

enum phase { PHASE_LEGACY, PHASE_COEXIST, PHASE_MIGRATED };
enum unlisted { UNLISTED_LEGACY, UNLISTED_MIGRATED, UNLISTED_REJECT };
enum mark { MARK_LEGACY, MARK_MOVING, MARK_MIGRATED };
enum partner_gateway { GATEWAY_LEGACY, GATEWAY_BY_USER, GATEWAY_BRIDGE, GATEWAY_BLOCKED };
enum partner_type { PARTNER_FEDERATED, PARTNER_PUBLIC_VERIFIED, PARTNER_PUBLIC_UNVERIFIED };
enum requirement { REQUIRE_NONE, REQUIRE_OPTIONAL, REQUIRE_REQUIRED };

/* The words that the registry stores and the commands take ("by-user", "public-verified", ...). */
const char *phase_name(enum phase v);
const char *unlisted_name(enum unlisted v);
const char *mark_name(enum mark v);
const char *partner_gateway_name(enum partner_gateway v);
const char *partner_type_name(enum partner_type v);
const char *requirement_name(enum requirement v);
MUST_CHECK enum err phase_parse(const char *s, enum phase *out);
MUST_CHECK enum err unlisted_parse(const char *s, enum unlisted *out);
MUST_CHECK enum err mark_parse(const char *s, enum mark *out);
MUST_CHECK enum err partner_gateway_parse(const char *s, enum partner_gateway *out);
MUST_CHECK enum err partner_type_parse(const char *s, enum partner_type *out);
MUST_CHECK enum err requirement_parse(const char *s, enum requirement *out);

struct domain {
	char name[REGISTRY_DOMAIN_SIZE];
	enum phase phase;       /* default coexist */
	enum unlisted unlisted; /* default legacy */
	bool xmpp_access;       /* default of unlisted users; default true */
};

struct partner {
	char name[REGISTRY_DOMAIN_SIZE]; /* "*": every domain that is not listed */
	enum partner_gateway gateway;    /* default by-user */
	enum partner_type type;          /* default federated */
	enum requirement tls;            /* default required */
	enum requirement sasl;           /* default optional */
	bool dialback;                   /* default true */
	bool keepalive;                  /* white space on idle streams; default true */
	unsigned connections;            /* simultaneous streams; 0: the configuration's limit */
	char proxy[REGISTRY_TEXT_SIZE];  /* "HOST[:PORT]" that stands for the partner, or "" */
	char description[REGISTRY_TEXT_SIZE];
};

struct user {
	char address[REGISTRY_ADDRESS_SIZE]; /* local@domain */
	char domain[REGISTRY_DOMAIN_SIZE];
	enum mark mark;
	bool xmpp_access; /* default true */
};

/* The defaults written above. */
void domain_init(struct domain *d, const char *name);
void partner_init(struct partner *p, const char *name);

MUST_CHECK enum err registry_find_domain(struct db *db, const char *name, struct domain *out);
/* By name, else by alias, else the row "*" (out->name tells which). */
MUST_CHECK enum err registry_find_partner(struct db *db, const char *domain, struct partner *out);
/* By exact name only. */
MUST_CHECK enum err registry_get_partner(struct db *db, const char *name, struct partner *out);
MUST_CHECK enum err registry_find_user(struct db *db, const char *address, struct user *out);

/*
 * From now on this connection keeps rows that the find_* above have read, and those that were not
 * there, until anybody changes anything. The file is asked for that at each of them (PRAGMA
 * data_version), so that a change is in force for the next one. Between view_begin and view_end it is asked
 * once, by the first, and all see one state of it: for the messages of one read from a network, which were
 * all there before it, or for look-ups that belong together. One within another is part of that one. db_begin() ends
 * what they see: the next look-up sees what there is then. Without keep_rows they do nothing.
 */
void registry_keep_rows(struct db *db);
void registry_view_begin(struct db *db);
void registry_view_end(struct db *db);
/*
 * What somebody has worked out of these rows, for a key of his own, is kept as they are. recall: *out is what was kept
 * and still holds; false: it is to be worked out, in the same view, and may be given to remember. A key of more than
 * 255 bytes is not kept.
 */
bool registry_recall(struct db *db, const char *key, void *out, size_t size);
void registry_remember(struct db *db, const char *key, const void *value, size_t size);

MUST_CHECK enum err registry_add_domain(struct db *db, const struct domain *d);
MUST_CHECK enum err registry_set_domain(struct db *db, const struct domain *d);
/* ERR_CONFLICT while users of the domain are listed. */
MUST_CHECK enum err registry_remove_domain(struct db *db, const char *name);

MUST_CHECK enum err registry_add_partner(struct db *db, const struct partner *p);
MUST_CHECK enum err registry_set_partner(struct db *db, const struct partner *p);
MUST_CHECK enum err registry_remove_partner(struct db *db, const char *name); /* its aliases too */
/* ERR_EXISTS when the alias is another partner's alias or a partner's name. */
MUST_CHECK enum err registry_add_alias(struct db *db, const char *partner, const char *alias);
MUST_CHECK enum err registry_remove_alias(struct db *db, const char *partner, const char *alias);

/* Insert or update; ERR_NOT_FOUND when the domain is not in the registry. *changed may be NULL. */
MUST_CHECK enum err registry_mark_user(struct db *db, const char *address, enum mark mark, bool *changed);
/*
 * Many, of whom only those that are listed are marked, in a fraction of the time. addresses: a JSON array of
 * strings, best in order. *changed: how many had another mark before.
 */
MUST_CHECK enum err registry_mark_listed(struct db *db, const char *addresses, enum mark mark,
					 int64_t *changed);
/* Those of such an array that are not listed, in order. */
MUST_CHECK enum err registry_each_unlisted(struct db *db, const char *addresses,
					   void (*fn)(void *ctx, const char *address), void *ctx);
MUST_CHECK enum err registry_set_user_access(struct db *db, const char *address, bool access);
MUST_CHECK enum err registry_remove_user(struct db *db, const char *address);

/* Lists in order of name; a callback that returns false ends the walk. */
MUST_CHECK enum err registry_each_domain(struct db *db, bool (*fn)(void *ctx, const struct domain *d),
					 void *ctx);
MUST_CHECK enum err registry_each_partner(struct db *db, bool (*fn)(void *ctx, const struct partner *p),
					  void *ctx);
MUST_CHECK enum err registry_each_alias(struct db *db, const char *partner,
					bool (*fn)(void *ctx, const char *alias), void *ctx);

struct user_filter {
	const char *domain; /* NULL: all */
	const char *after;  /* addresses greater than this; NULL: from the first */
	bool has_mark;
	enum mark mark;
	unsigned limit; /* 0: all */
};
MUST_CHECK enum err registry_each_user(struct db *db, const struct user_filter *filter,
				       bool (*fn)(void *ctx, const struct user *u), void *ctx);
MUST_CHECK enum err registry_count_users(struct db *db, const struct user_filter *filter, int64_t *out);

#endif
