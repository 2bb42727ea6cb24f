/*
 * command.c - the tables of commands and options, and the help made from them.
 *
 * A command that is not here does not exist; its man page entry is held equal to
 * its row by a test. Parsing is arguments.c, what commands do is in cmd_*.c.
 */
#include "bridge/ctl/command.h"

#include <string.h>

#include "bridge/ctl/commands.h"

static const struct option options[] = {
	{ "phase", "legacy|coexist|migrated", false,
	  "How far the domain's cutover is: all to the legacy gateway, by each user's mark, or all to the "
	  "new "
	  "pool." },
	{ "unlisted", "legacy|migrated|reject", false, "Where users without a mark are." },
	{ "xmpp-access", "on|off", false, "Whether users without a mark may use XMPP federation." },
	{ "gateway", "legacy|by-user|bridge|blocked", false,
	  "Which gateway serves the partner: the legacy one for all users, each user's own, poolbridge's for "
	  "all "
	  "users, or none." },
	{ "type", "federated|public-verified|public-unverified", false,
	  "How far the partner's users are trusted with presence and first messages." },
	{ "tls", "required|optional|none", false, "Encryption of the partner's streams." },
	{ "sasl", "required|optional|none", false, "Authentication by certificate (SASL EXTERNAL)." },
	{ "dialback", "yes|no", false, "Authentication by server dialback." },
	{ "keepalive", "yes|no", false, "Whether white space is sent on idle streams to keep them open." },
	{ "connections", "N", false,
	  "Streams with the partner at the same time; 0 is the configured limit." },
	{ "proxy", "HOST[:PORT]", false,
	  "The host that stands for the partner, instead of its SRV record; '' for none." },
	{ "alias", "DOMAIN", true, "A further domain of the partner; subdomains must be listed too." },
	{ "no-alias", "DOMAIN", true, "A further domain that is the partner's no more." },
	{ "description", "TEXT", false, "A note for people." },
	{ "from", "FILE|-", false, "Read the addresses from a file, or from standard input, one a line." },
	{ "domain", "DOMAIN", false, "Only users of this domain." },
	{ "as", "DOMAIN", false, "The local domain in whose name the partner is tried; default: the first." },
	{ "mark", "legacy|moving|migrated", false, "Only users with this mark." },
	{ "user", "ADDRESS", false, "Only what belongs to this local user." },
	{ "hop", "move|legacy-gateway|legacy-pool|new-pool|quarantine|error", false,
	  "Only messages that wait for this, that were put aside, or whose senders are being told." },
	{ "body", NULL, false, "Show the message itself, with what it says." },
	{ "since", "TIME", false, "Only changes since this time, in UTC: 2026-11-21, or 2026-11-21T07:40." },
};

#define PARTNER_OPTIONS "gateway type tls sasl dialback keepalive connections proxy alias description"

static const struct command commands[] = {
	{ "domain", "add", "DOMAIN", "phase unlisted xmpp-access", "Add a local domain.", cmd_domain_add },
	{ "domain", "set", "DOMAIN", "phase unlisted xmpp-access", "Change a local domain.", cmd_domain_set },
	{ "domain", "list", "", "", "List the local domains.", cmd_domain_list },
	{ "domain", "show", "DOMAIN", "", "Show one local domain.", cmd_domain_show },
	{ "domain", "remove", "DOMAIN", "", "Remove a local domain that has no users any more.",
	  cmd_domain_remove },

	{ "partner", "add", "DOMAIN", PARTNER_OPTIONS,
	  "Add a partner; '*' stands for every domain not listed.", cmd_partner_add },
	{ "partner", "set", "DOMAIN", PARTNER_OPTIONS " no-alias", "Change a partner.", cmd_partner_set },
	{ "partner", "list", "", "", "List the partners.", cmd_partner_list },
	{ "partner", "show", "DOMAIN", "", "Show one partner, by its name or an alias.", cmd_partner_show },
	{ "partner", "remove", "DOMAIN", "", "Remove a partner and its aliases.", cmd_partner_remove },
	{ "partner", "import", "FILE|-", "",
	  "Add or change partners from a CSV file, ours or Get-CsXmppAllowedPartner's.", cmd_partner_import },
	{ "partner", "export", "[FILE|-]", "", "Write all partners as CSV.", cmd_partner_export },

	{ "user", "mark", "legacy|moving|migrated [ADDRESS...]", "from",
	  "Mark users, adding who is not listed yet: all of them or, if one is wrong, none.", cmd_user_mark },
	{ "user", "access", "on|off [ADDRESS...]", "from",
	  "Switch XMPP federation on or off for listed users.", cmd_user_access },
	{ "user", "list", "", "domain mark",
	  "List the users that have a mark; those who are being moved with the time at which the move ends "
	  "by itself.",
	  cmd_user_list },
	{ "user", "show", "ADDRESS", "",
	  "Show one user; of one who is being moved, since when, from where, and when the move ends by "
	  "itself.",
	  cmd_user_show },
	{ "user", "remove", "[ADDRESS...]", "from",
	  "Take users off the list: their domain's policy decides then.", cmd_user_remove },
	{ "user", "import", "FILE|-", "", "Mark users as a CSV file of ours says.", cmd_user_import },
	{ "user", "erase", "ADDRESS", "",
	  "Erase all that is kept of a user or of a partner's user: messages that wait, subscriptions, mark, "
	  "audit.",
	  cmd_user_erase },
	{ "user", "export", "[FILE|-]", "domain mark", "Write users as CSV: address,mark,xmpp_access.",
	  cmd_user_export },

	{ "route", "explain", "FROM TO", "",
	  "Say which way a message takes, which rule decides so, and what would change it.",
	  cmd_route_explain },

	{ "audit", "list", "", "since", "List who changed what.", cmd_audit_list },
	{ "audit", "undo", "ID", "", "Put a row back to what it was before a change.", cmd_audit_undo },

	{ "subscription", "list", "", "user", "List who watches whose presence across the bridge.",
	  cmd_subscription_list },

	{ "spool", "list", "", "user hop", "List the messages that wait, oldest first.", cmd_spool_list },
	{ "spool", "show", "ID", "body", "Show one message that waits.", cmd_spool_show },
	{ "spool", "retry", "[ID...]", "user hop",
	  "Try messages again now: these, those that the options name, or all that wait.", cmd_spool_retry },
	{ "spool", "bounce", "[ID...]", "user hop",
	  "Give messages back to their senders with an error: these, or those that the options name.",
	  cmd_spool_bounce },

	{ "streams", "", "", "", "List the links and streams of the running daemon.", cmd_streams },
	{ "check", "partner", "DOMAIN", "as",
	  "Try a partner's server step by step, and say what to mend and on whose side.", cmd_check_partner },
	{ "status", "", "", "", "Show the daemon's health and what the registry holds.", cmd_status },
};

const struct command *command_table(size_t *count)
{
	*count = ARRAY_SIZE(commands);
	return commands;
}

const struct option *command_option_table(size_t *count)
{
	*count = ARRAY_SIZE(options);
	return options;
}

static void usage_of(const struct command *c, struct strbuf *out)
{
	strbuf_printf(out, "%s%s%s%s%s%s", c->noun, c->verb[0] ? " " : "", c->verb,
		      c->arguments[0] ? " " : "", c->arguments, c->options[0] ? " [OPTION...]" : "");
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' '))
			return true;
	return false;
}

static void help_command(const struct command *c, struct strbuf *out)
{
	strbuf_puts(out, "usage: poolbridgectl [-c FILE] [--json] ");
	usage_of(c, out);
	strbuf_printf(out, "\n\n%s\n", c->help);
	if (c->options[0])
		strbuf_puts(out, "\n");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (has_word(c->options, options[i].name))
			strbuf_printf(out, "  --%s%s%s%s\n        %s\n", options[i].name,
				      options[i].value ? " " : "", options[i].value ? options[i].value : "",
				      options[i].many ? "  (may be repeated)" : "", options[i].help);
}

void command_help(const struct invocation *inv, struct strbuf *out)
{
	if (inv->command) {
		help_command(inv->command, out);
		return;
	}
	strbuf_puts(out, "usage: poolbridgectl [-c FILE] [--json] NOUN VERB [ARGUMENT...] [OPTION...]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!inv->noun || strcmp(commands[i].noun, inv->noun) == 0) {
			strbuf_puts(out, "  ");
			usage_of(&commands[i], out);
			strbuf_printf(out, "\n        %s\n", commands[i].help);
		}
	strbuf_puts(out, "\n  -c FILE, --config FILE   the configuration file\n"
			 "  --json                   print one JSON document\n"
			 "  -h, --help               this text; after NOUN VERB, that command's\n"
			 "  -V, --version            the version\n");
}
