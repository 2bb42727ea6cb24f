/*
 * SRV record data: what is accepted is a host name that is safe to log and to
 * look up, and encoding it again gives the same bytes.
 */
#include "bridge/xmpp/dns_parse.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { RDATA_MAX = 6 + 255 };

static size_t put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return 2;
}

static size_t encode(const struct srv_record *r, uint8_t out[RDATA_MAX])
{
	const char *label = r->target;
	size_t n = 0;

	n += put16(out + n, r->priority);
	n += put16(out + n, r->weight);
	n += put16(out + n, r->port);
	while (*label != '\0') {
		const size_t len = strcspn(label, ".");

		CHECK(len > 0 && len <= 63);
		out[n++] = (uint8_t)len;
		memcpy(out + n, label, len);
		n += len;
		label += len + (label[len] == '.');
	}
	out[n++] = 0;
	return n;
}

static const char host_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[RDATA_MAX];
	struct srv_record r;

	if (srv_parse(data, size, &r) == OK) {
		CHECK(strlen(r.target) < DNS_NAME_SIZE);
		CHECK(strspn(r.target, host_chars) == strlen(r.target));
		CHECK(r.port != 0 || r.target[0] == '\0');
		CHECK(encode(&r, again) == size);
		CHECK(memcmp(again, data, size) == 0);
	}
	return 0;
}
