/*
 * poolbridgectl.c - the control program: reads the command line and the
 * configuration, opens the registry, and runs one command.
 *
 * What commands there are is command.c's table; what they do is in cmd_*.c. Exit
 * status: 0 done, 1 failed, 2 usage.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bridge/ctl/ctl.h"

static int print_version(struct ctl *ctl)
{
	ctl_say(ctl, PACKAGE_STRING "\n");
	return ctl_document(ctl, json_pack("{s:s}", "version", PACKAGE_VERSION));
}

static int print_help(struct ctl *ctl)
{
	struct strbuf text = { 0 };
	int status;

	command_help(ctl->inv, &text);
	ctl_say(ctl, "%s", text.s);
	status = ctl_document(ctl, json_pack("{s:s}", "help", text.s));
	strbuf_free(&text);
	return status;
}

static int run_command(struct ctl *ctl)
{
	struct config *config = NULL;
	const char *why = NULL;
	int status;

	if (config_load(ctl->inv->config ? ctl->inv->config : DEFAULT_CONFIG, &config, &why) != OK)
		return ctl_fail(ctl, "%s", why);
	ctl->config = config;
	if (db_open(config->registry, &ctl->db, &why) == OK)
		status = ctl->inv->command->run(ctl);
	else
		status = ctl_fail(ctl, "%s", why);
	config_free(config);
	ctl->config = NULL;
	return status;
}

int main(int argc, char **argv)
{
	struct invocation inv;
	struct ctl ctl;
	const char *why = NULL;
	enum err e = command_parse(argc, argv, &inv, &why);
	int status;

	ctl_init(&ctl, &inv);
	if (e != OK)
		status = ctl_usage(&ctl, "%s", why);
	else if (inv.version)
		status = print_version(&ctl);
	else if (inv.help)
		status = print_help(&ctl);
	else
		status = run_command(&ctl);
	status = ctl_finish(&ctl, status);
	ctl_free(&ctl);
	command_free(&inv);
	return status;
}
