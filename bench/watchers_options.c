/*
 * watchers_options.c - the command line of watchers.c, and its help.
 *
 * What is wrong ends the program with a word about it.
 */
#include "bench/watchers_options.h"

#include <getopt.h>
#include <stdlib.h>

#include "bench/end.h"

static const char usage[] =
	"Usage: watchers --listen ADDRESS --xmpp ADDRESS[:PORT] --sip ADDRESS[:PORT] --pairs N\n"
	"\n"
	"Commands on standard input, each but quit answered by a line of JSON when it is done:\n"
	"\n"
	"  watch N              so many contacts more subscribe to users\n"
	"  subscribe N          so many users more subscribe to contacts\n"
	"  notify               the pool tells of each user that is watched that he has gone, or is back\n"
	"  present              each contact that is watched tells that he is away, or busy\n"
	"  grant S              subscriptions at the pool are for so many seconds from now on\n"
	"  refreshes S          those that come in the next S seconds: how many, and in the busiest second\n"
	"  status, quit\n"
	"\n"
	"  --listen ADDRESS     for connections of both kinds, port 5060\n"
	"  --xmpp, --sip        where its own go, from the address that it listens on\n";

struct watchers_options watchers_options;

void watchers_read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "listen", 1, NULL, 'l' }, { "xmpp", 1, NULL, 'x' }, { "sip", 1, NULL, 's' },
		{ "pairs", 1, NULL, 'p' },  { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'l') {
			watchers_options.listen = end_address(optarg, 5060);
			watchers_options.address = optarg;
		} else if (option == 'x') {
			watchers_options.xmpp = end_address(optarg, 5269);
		} else if (option == 's') {
			watchers_options.sip = end_address(optarg, 5060);
		} else if (option == 'p') {
			watchers_options.pairs = strtoul(optarg, NULL, 10);
		} else {
			end_usage(usage, option == 'h' ? 0 : 2);
		}
	}
	if (!watchers_options.listen.sin_port || !watchers_options.xmpp.sin_port ||
	    !watchers_options.sip.sin_port || watchers_options.pairs == 0 || optind < argc)
		end_usage(usage, 2);
}
