/*
 * endpointtest.h - the SIP endpoint under test, with the limits that most of its
 * tests want.
 */
#ifndef POOLBRIDGE_TESTS_ENDPOINTTEST_H
#define POOLBRIDGE_TESTS_ENDPOINTTEST_H

#include "bridge/sip/endpoint.h"
#include "nettest.h"

/* In the network; setup is without loop and configuration. Fails the test in the endpoint's words. */
struct sip_endpoint *endpointtest_open(struct nettest *net, struct config *config, struct sip_setup setup);

#endif
