/*
 * user_file.h - what the files cmd_user.c and user_file.c share.
 */
#ifndef POOLBRIDGE_CTL_USER_FILE_H
#define POOLBRIDGE_CTL_USER_FILE_H

#include "bridge/ctl/ctl.h"

json_t *user_document(const struct user *u);

/* Why an address (normalised) could not be read or changed, in words; returns 1. */
int user_fail(struct ctl *ctl, const char *where, const char *address, enum err e);

/* --domain and --mark; domain is the filter's memory. Returns the exit status. */
int user_filter_options(struct ctl *ctl, struct user_filter *filter, char domain[JID_DOMAIN_MAX + 1]);

#endif
