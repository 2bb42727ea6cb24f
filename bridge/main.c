/*
 * main.c - the command line of poolbridge(8): reads the options and the
 * configuration, then runs the daemon or says what is wrong.
 *
 * Exit status: 0 clean, 1 failure at run time, 2 usage or configuration.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/core/config.h"
#include "bridge/daemon.h"
#include "bridge/xmpp/dialback.h"

enum { EXIT_USAGE = 2 };

static const char usage[] = "Usage: poolbridge [-c FILE] [--test-config]\n"
			    "       poolbridge --help | --version\n";

struct arguments {
	const char *file;
	bool test_config;
};

static void print_help(void)
{
	size_t count;
	const struct config_option *o = config_options(&count);

	fputs(usage, stdout);
	puts("\n  -c, --config FILE   read this configuration; default: " DEFAULT_CONFIG "\n"
	     "      --test-config   check the configuration and exit\n"
	     "  -h, --help          print this and exit\n"
	     "  -V, --version       print the version and exit\n\n"
	     "Options of the configuration file, see poolbridge.conf(5):\n");
	for (size_t i = 0; i < count; i++) {
		const char *fallback = o[i].fallback;

		printf("  %s (%s%s%s)\n      %s\n", o[i].name, config_type_name(o[i].type),
		       fallback == NULL      ? ", required"
		       : fallback[0] == '\0' ? ""
					     : ", default ",
		       fallback != NULL ? fallback : "", o[i].help);
	}
}

/* Whether to go on; if not, *status is the exit status. */
static bool parse_arguments(int argc, char **argv, struct arguments *out, int *status)
{
	enum { OPT_TEST = 256 };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test-config", no_argument, NULL, OPT_TEST },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*status = EXIT_SUCCESS;
	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			out->file = optarg;
			break;
		case OPT_TEST:
			out->test_config = true;
			break;
		case 'h':
			print_help();
			return false;
		case 'V':
			puts(PACKAGE_STRING);
			return false;
		default: /* getopt_long() has said what */
			goto wrong;
		}
	}
	if (optind == argc)
		return true;
	fprintf(stderr, "poolbridge: unexpected argument '%s'\n", argv[optind]);
wrong:
	fputs(usage, stderr);
	*status = EXIT_USAGE;
	return false;
}

int main(int argc, char **argv)
{
	struct arguments a = { .file = DEFAULT_CONFIG };
	struct config *config = NULL;
	const char *where = "", *why = "";
	char random[2];
	int status;
	enum err e;

	if (!parse_arguments(argc, argv, &a, &status))
		return status;
	/* Keys and ids that can be guessed are worse than none. */
	if (random_hex(random, sizeof(random)) != OK) {
		fputs("poolbridge: no random numbers: OpenSSL's generator does not work\n", stderr);
		return EXIT_FAILURE;
	}
	e = config_load(a.file, &config, &why);
	if (e == OK)
		e = config_check_daemon(config, &why);
	if (e == OK) {
		e = daemon_check_certificate(config, &why);
		where = a.file;
	}
	if (e != OK) {
		fprintf(stderr, "poolbridge: %s%s%s\n", where, where[0] ? ": " : "", why);
		status = EXIT_USAGE;
	} else if (a.test_config) {
		printf("%s: OK\n", a.file);
	} else {
		status = daemon_run(config);
	}
	config_free(config);
	return status;
}
