/*
 * command.h - the commands of poolbridgectl: one table row each, from which the
 * parser, the help texts and the test of the man page are made.
 */
#ifndef POOLBRIDGE_CTL_COMMAND_H
#define POOLBRIDGE_CTL_COMMAND_H

#include "bridge/core/base.h"

struct ctl;

struct option {
	const char *name;  /* without the dashes */
	const char *value; /* "DOMAIN", or the words it may be: "yes|no"; NULL: a switch, whose value is "" */
	bool many;         /* may be given more than once */
	const char *help;
};

struct command {
	const char *noun, *verb; /* verb "": the noun stands alone */
	/* "FROM TO"; "[X]" may be left out, "X..." may be several, "on|off" is one of these words. */
	const char *arguments;
	const char *options; /* names in the table of options, with a space between */
	const char *help;    /* one line */
	int (*run)(struct ctl *ctl);
};

const struct command *command_table(size_t *count);
const struct option *command_option_table(size_t *count);

/* What a command line says. The strings are argv's. */
struct invocation {
	const char *config; /* NULL: the default file */
	bool json, help, version;
	const char *noun;              /* NULL: none given */
	const struct command *command; /* NULL with help: of the noun, or of all */
	const char **words;            /* the arguments after noun and verb */
	size_t word_count;
	struct option_value {
		const struct option *option;
		const char *value;
	} * options;
	size_t option_count;
};

/*
 * ERR_SYNTAX: *why (static buffer) says what is wrong and what is near it. The
 * invocation holds what was understood (json), and must be freed in both cases.
 */
MUST_CHECK enum err command_parse(int argc, char *const *argv, struct invocation *out, const char **why);
void command_free(struct invocation *inv);

/* The value of an option, NULL when it was not given; of one that may be many, the first. */
const char *command_value(const struct invocation *inv, const char *name);

/* The help text for an invocation: of its command, else its noun, else everything. */
void command_help(const struct invocation *inv, struct strbuf *out);

#endif
