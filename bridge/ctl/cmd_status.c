/*
 * cmd_status.c - poolbridgectl status: what the daemon says of itself over its
 * control socket, and what the registry holds.
 *
 * A daemon that is not running is an answer, not an error: the registry is read
 * all the same. One that is there but does not answer in time, or that this user
 * may not ask, is an error.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/daemon_client.h"
#include "bridge/ctl/output.h"

static bool count_domain(void *ctx, const struct domain *d)
{
	(void)d;
	++*(json_int_t *)ctx;
	return true;
}

static bool count_partner(void *ctx, const struct partner *p)
{
	(void)p;
	++*(json_int_t *)ctx;
	return true;
}

/* What the registry holds; NULL: reported. */
static json_t *count_registry(struct ctl *ctl)
{
	json_int_t domains = 0, partners = 0;
	json_t *users = json_object();
	enum err e = registry_each_domain(ctl->db, count_domain, &domains);

	if (e == OK)
		e = registry_each_partner(ctl->db, count_partner, &partners);
	for (enum mark m = MARK_LEGACY; e == OK && m <= MARK_MIGRATED; m++) {
		int64_t count = 0;

		e = registry_count_users(ctl->db, &(struct user_filter){ .has_mark = true, .mark = m },
					 &count);
		json_object_set_new(users, mark_name(m), json_integer(count));
	}
	if (e != OK) {
		json_decref(users);
		ctl_fail_db(ctl, e);
		return NULL;
	}
	return json_pack("{s:o, s:i, s:I, s:I, s:o}", "path", ctl_text(ctl->config->registry), "schema",
			 db_schema_version(ctl->db), "domains", domains, "partners", partners, "users",
			 users);
}

int cmd_status(struct ctl *ctl)
{
	json_t *registry = count_registry(ctl),
	       *document = registry ? daemon_ask(ctl, json_pack("{s:s}", "command", "status"), 5) : NULL;

	if (!document) {
		json_decref(registry);
		return 1;
	}
	json_object_set_new(document, "registry", registry);
	if (!json_is_true(json_object_get(document, "running")))
		ctl_say(ctl, "the daemon is not running\n");
	output_fields(ctl, document);
	return ctl_document(ctl, document);
}
