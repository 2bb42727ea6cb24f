/* endpointtest.c - see endpointtest.h. */
#include "endpointtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct sip_endpoint *endpointtest_open(struct nettest *net, struct config *config, struct sip_setup setup)
{
	struct sip_endpoint *endpoint = NULL;
	const char *why = "";

	config->sip.message_bytes = 8000;
	config->sip.answer_ms = 30000;
	setup.loop = net->loop;
	setup.config = config;
	if (sip_endpoint_create(&setup, &endpoint, &why) != OK)
		fail_msg("%s", why);
	return endpoint;
}
