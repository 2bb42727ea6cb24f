/*
 * map_mime.h - the parts of MIME that bodies of SIP requests use: types with
 * their parameters, header blocks, multiparts, transfer encodings (RFC 2045,
 * RFC 2046). Pure; each function takes time in proportion to its input.
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_MIME_H
#define POOLBRIDGE_GATEWAY_MAP_MIME_H

#include "bridge/core/base.h"

#define MIME_NAME_SIZE     128
#define MIME_CHARSET_SIZE  64
#define MIME_BOUNDARY_SIZE 71 /* RFC 2046 section 5.1.1 */

/* Bytes of somebody else's, not ended by a NUL. */
struct mime_span {
	const char *s;
	size_t n;
};

/* The next line without its end, CRLF or LF; false at the end of the bytes. */
bool mime_line_next(struct mime_span *rest, struct mime_span *line);
struct mime_span mime_trim(struct mime_span s); /* blanks and tabs */

/* --- types --- */

struct mime_parameter {
	struct mime_span whole; /* from its semicolon */
	struct mime_span name;
	struct mime_span value; /* of a quoted-string what is inside, escapes as they are */
	bool quoted;
};

/* "text/plain" in lower case; *parameters: behind it. ERR_SYNTAX: no type, or a longer one than any. */
MUST_CHECK enum err mime_name_parse(const char *value, char name[MIME_NAME_SIZE], const char **parameters);
/* ERR_NOT_FOUND: there is none left. */
MUST_CHECK enum err mime_parameter_next(const char **parameters, struct mime_parameter *out);
bool mime_parameter_is(const struct mime_parameter *p, const char *name);

struct mime_type {
	char name[MIME_NAME_SIZE];         /* lower case */
	char charset[MIME_CHARSET_SIZE];   /* lower case; "" when absent */
	char boundary[MIME_BOUNDARY_SIZE]; /* "" when absent */
};
/* ERR_SYNTAX also for two charsets or boundaries, and for a boundary that none may be. */
MUST_CHECK enum err mime_type_parse(const char *value, struct mime_type *out);

/* --- header blocks --- */

struct mime_field {
	char *name, *value; /* owned; unfolded, without blanks around, without controls but tabs */
};
/*
 * The next field. ERR_NOT_FOUND: the block is at its end, and rest begins
 * behind the empty line. Lines end with CRLF or LF.
 */
MUST_CHECK enum err mime_field_next(struct mime_span *rest, struct mime_field *out);
void mime_field_free(struct mime_field *f);

enum mime_encoding { MIME_IDENTITY, MIME_BASE64, MIME_QUOTED_PRINTABLE, MIME_UNKNOWN };

/* A body with its header: a part of a multipart, what is inside message/cpim. */
struct mime_entity {
	char *type; /* owned; NULL: none is given, which means text/plain */
	enum mime_encoding encoding;
	struct mime_span body; /* still encoded */
};
MUST_CHECK enum err mime_entity_parse(struct mime_span bytes, struct mime_entity *out);
void mime_entity_free(struct mime_entity *e);

/* --- multiparts --- */

struct mime_parts {
	struct mime_span rest; /* from the line of a delimiter */
	const char *boundary;
};
/* ERR_SYNTAX: there is no delimiter. The boundary is borrowed. */
MUST_CHECK enum err mime_parts_start(struct mime_span body, const char *boundary, struct mime_parts *out);
/* ERR_NOT_FOUND: that was the last one. ERR_SYNTAX: the last delimiter is missing. */
MUST_CHECK enum err mime_part_next(struct mime_parts *p, struct mime_span *out);

/* --- transfer encodings; what they add to out is untouched on failure --- */

/* Canonical base64 (RFC 4648 section 3): whole groups, padding only at the end, no bits left over. */
MUST_CHECK enum err mime_base64_decode(struct mime_span text, struct strbuf *out);
void mime_base64_encode(struct mime_span bytes, struct strbuf *out);
/* ERR_SYNTAX: it is not of that encoding. ERR_NOT_FOUND: MIME_UNKNOWN. */
MUST_CHECK enum err mime_decode(enum mime_encoding encoding, struct mime_span bytes, struct strbuf *out);

#endif
