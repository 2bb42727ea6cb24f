/*
 * endpoint_method.c - methods: how their names are read, and which are taken.
 *
 * COMPAT: sofia-sip compares a name with one that begins with the same letter,
 * and takes a shorter one for no method at all: SERVICE, which Microsoft's
 * clients send, against SUBSCRIBE. Such a request was garbage to it, and got no
 * answer. Its sip_method_d() is replaced here by one that reads any token; the
 * library finds ours, since the program's symbols come before a library's.
 *
 * Keeps nothing. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <string.h>

#include <sofia-sip/sip_parser.h>

static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~";
static const char blanks[] = " \t\r\n";

static sip_method_t method_of(const char *name, size_t length)
{
	for (int i = sip_method_unknown + 1; i <= sip_method_publish; i++) {
		const char *known = sip_method_name((sip_method_t)i, NULL);

		if (strlen(known) == length && memcmp(known, name, length) == 0)
			return (sip_method_t)i;
	}
	return sip_method_unknown;
}

/* The library's contract: *ss goes on behind the name and blanks, and a name that is not known is ended there. */
sip_method_t sip_method_d(char **ss, const char **return_name)
{
	char *s = *ss;
	size_t n = strspn(s, token);
	const sip_method_t method = method_of(s, n);

	if (n == 0 || (s[n] != '\0' && strchr(blanks, s[n]) == NULL))
		return sip_method_invalid;
	if (return_name != NULL && method == sip_method_unknown && s[n] != '\0')
		s[n++] = '\0';
	if (return_name != NULL)
		*return_name = method == sip_method_unknown ? s : sip_method_name(method, NULL);
	*ss = s + n + strspn(s + n, blanks);
	return method;
}

bool endpoint_takes_method(sip_method_t method)
{
	switch (method) {
	case sip_method_message:
	case sip_method_invite:
	case sip_method_bye:
	case sip_method_info:
	case sip_method_subscribe:
	case sip_method_notify:
		return true;
	default:
		return false;
	}
}
