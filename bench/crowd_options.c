/*
 * crowd_options.c - the command line of crowd.c, and its help.
 *
 * What is wrong ends the program with a word about it.
 */
#include "bench/crowd_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end.h"

static const char usage[] =
	"Usage: crowd --listen ADDRESS --connect ADDRESS[:PORT] [options]\n"
	"\n"
	"Opens streams from numbered domains and sends messages over them. Commands on standard input, each\n"
	"but quit answered by a line of JSON when it is done:\n"
	"\n"
	"  open N                         so many streams more\n"
	"  send N WINDOW USERS STREAMS    messages to u0, u2, u4, ... of so many users, over the first so "
	"many\n"
	"                                 streams in turn, WINDOW of them under way\n"
	"  unproved N                     from now on so many of what came in are not acknowledged\n"
	"  throw N USERS                  messages to h0, h1, ... over the first stream, without waiting for "
	"them\n"
	"  await N                        until so many of these have come\n"
	"  status, quit\n"
	"\n"
	"  --listen ADDRESS     for streams to it, port 5269: dialback's questions, and the messages\n"
	"  --connect ADDRESS    where its own streams go, from the address that it listens on\n"
	"  --from D             its domains, with a # for the number (default p#.test)\n"
	"  --domains N          stream n is of domain n modulo N (default 1)\n"
	"  --to D               the remote domain (default corp.test)\n"
	"  --said WHAT          where a stream rests: nothing, header, element (one that never ends), "
	"secure\n"
	"                       (STARTTLS and a second header) or trusted (default)\n";

static const char *const said_names[] = { "nothing", "header", "element", "secure", "trusted" };

struct crowd_options crowd_options = {
	.from = "p#.test", .to = "corp.test", .domains = 1, .said = SAID_TRUSTED
};

static enum said said_from(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(said_names); i++)
		if (strcmp(text, said_names[i]) == 0)
			return (enum said)i;
	end_usage(usage, 2);
}

static void take_option(int option, const char *value)
{
	switch (option) {
	case 'l':
		crowd_options.listen = end_address(value, 5269);
		break;
	case 'c':
		crowd_options.connect = end_address(value, 5269);
		break;
	case 'f':
		crowd_options.from = value;
		break;
	case 'd':
		crowd_options.domains = (unsigned)strtoul(value, NULL, 10);
		break;
	case 't':
		crowd_options.to = value;
		break;
	case 's':
		crowd_options.said = said_from(value);
		break;
	default:
		end_usage(usage, option == 'h' ? 0 : 2);
	}
}

void crowd_read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "listen", 1, NULL, 'l' },  { "connect", 1, NULL, 'c' }, { "from", 1, NULL, 'f' },
		{ "domains", 1, NULL, 'd' }, { "to", 1, NULL, 't' },      { "said", 1, NULL, 's' },
		{ "help", 0, NULL, 'h' },    { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(option, optarg);
	if (!crowd_options.listen.sin_port || !crowd_options.connect.sin_port || optind < argc ||
	    crowd_options.domains == 0)
		end_usage(usage, 2);
}
