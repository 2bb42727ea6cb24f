/*
 * ctl.c - the context of a command: who acts, and transactions on the registry.
 *
 * A command that changes anything does so between ctl_begin() and ctl_end(): all
 * of it or nothing. The actor goes into the audit with each change.
 */
#include "bridge/ctl/ctl.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Who sits at the terminal, rather than whom sudo made of him. */
static void find_actor(char *out, size_t size)
{
	const char *name = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
	const struct passwd *entry;

	if (!name || !name[0])
		name = getlogin();
	if (!name || !name[0]) {
		entry = getpwuid(getuid());
		name = entry ? entry->pw_name : NULL;
	}
	if (name && utf8_is_xml(name, strlen(name)))
		snprintf(out, size, "%.64s via poolbridgectl", name);
	else
		snprintf(out, size, "uid %u via poolbridgectl", (unsigned)getuid());
}

void ctl_init(struct ctl *ctl, const struct invocation *inv)
{
	*ctl = (struct ctl){ .inv = inv, .warnings = json_array(), .errors = json_array() };
	find_actor(ctl->actor, sizeof(ctl->actor));
}

void ctl_free(struct ctl *ctl)
{
	json_decref(ctl->warnings);
	json_decref(ctl->errors);
	db_close(ctl->db);
}

int ctl_begin(struct ctl *ctl)
{
	enum err e = db_begin(ctl->db, ctl->actor);

	return e == OK ? 0 : ctl_fail_db(ctl, e);
}

int ctl_end(struct ctl *ctl, int status)
{
	enum err e;

	if (status != 0) {
		db_rollback(ctl->db);
		return status;
	}
	e = db_commit(ctl->db);
	if (e != OK) {
		ctl_fail_db(ctl, e);
		return ctl_fail(
			ctl,
			db_is_uncertain(ctl->db)
				? "the change was written, but may not be on disk: see whether it is there, "
				  "and do it again if not"
				: "nothing was changed");
	}
	ctl->committed = true;
	return 0;
}
