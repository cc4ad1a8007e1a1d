/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as a stream of an upstream, cut into pieces: the same messages come
 * out as when they come in one piece, and those that match a query carry its
 * question. The same bytes as text of a server: what is taken is written and
 * read again as the same. */

#include <stdlib.h>
#include <string.h>

#include "controld/upstream/frame.h"
#include "controld/upstream/query.h"
#include "controld/upstream/servers.h"
#include "shared/util.h"

enum { MESSAGES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cp_dns_name name = {
	.size = 9,
	.wire = "\3www\3abc",
};

static const struct cp_upstream_query query = {
	.name = &name,
	.case_mask = 0x2a,
	.id = 0x6162,
	.type = 1,
	.class = 1,
	.has_edns = true,
};

static void check_match(uint8_t *message, size_t size)
{
	uint8_t wanted[CP_UPSTREAM_QUERY_BYTES];
	size_t question = CP_UPSTREAM_QUERY_HEADER + name.size + 4U;
	bool is_equal;
	int r = cp_upstream_query_match(&query, message, size);

	(void)cp_upstream_query_write(&query, wanted);
	is_equal = size >= question && memcmp(message, wanted, 2) == 0 &&
		   (message[2] & 0xf8) == 0x80 &&
		   memcmp(message + 4, wanted + 4, 2) == 0 &&
		   memcmp(message + CP_UPSTREAM_QUERY_HEADER,
			  wanted + CP_UPSTREAM_QUERY_HEADER,
			  question - CP_UPSTREAM_QUERY_HEADER) == 0;
	if ((r == 0) != is_equal)
		abort();
	if (r == CP_UPSTREAM_QUERY_E_BARE && size != CP_UPSTREAM_QUERY_HEADER)
		abort();
	if (r != 0)
		return;
	cp_upstream_query_clean(&query, message);
	if (cp_upstream_query_id(message) != 0 ||
	    memcmp(message + CP_UPSTREAM_QUERY_HEADER, name.wire, name.size))
		abort();
}

/* Returns how many messages came, and how the last call ended. */
static size_t read_stream(const uint8_t *data, size_t size, size_t step,
			  size_t sizes[MESSAGES_MAX], int *end)
{
	struct cp_upstream_frame frame = { .bytes = NULL };
	size_t n = 0;

	*end = CP_UPSTREAM_FRAME_E_MORE;
	for (size_t at = 0; at < size && *end == CP_UPSTREAM_FRAME_E_MORE;
	     at += step) {
		size_t left = SN_MIN(step, size - at);
		const uint8_t *from = data + at;
		uint8_t *message;
		size_t message_size;

		while ((*end = cp_upstream_frame_take(&frame, &from, &left,
						      &message,
						      &message_size)) == 0) {
			if (message_size < CP_UPSTREAM_FRAME_MIN)
				abort();
			check_match(message, message_size);
			if (n < MESSAGES_MAX)
				sizes[n] = message_size;
			n++;
		}
		if (*end == CP_UPSTREAM_FRAME_E_MORE && left > 0)
			abort();
	}
	cp_upstream_frame_done(&frame);
	return n;
}

static void check_text(const uint8_t *data, size_t size)
{
	char text[512], again[CP_UPSTREAM_SERVERS_TEXT_BYTES];
	struct cp_dns_upstream server, other;
	struct sn_diag diag;

	size = SN_MIN(size, sizeof(text) - 1);
	if (size > 0)
		(void)memcpy(text, data, size);
	text[size] = '\0';
	if (cp_upstream_servers_parse(text, &server, &diag))
		return;
	if (cp_upstream_servers_parse(
		    cp_upstream_servers_format(&server, again), &other, &diag))
		abort();
	if (memcmp(&server, &other, sizeof(server)) != 0 ||
	    (server.is_tls && !server.name[0]))
		abort();
}

/* The first byte is the size of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t whole[MESSAGES_MAX] = { 0 }, pieces[MESSAGES_MAX] = { 0 };
	size_t n_whole, n_pieces;
	int end_whole, end_pieces;

	check_text(data, size);
	if (size < 2)
		return 0;
	n_whole = read_stream(data + 1, size - 1, size - 1, whole, &end_whole);
	n_pieces = read_stream(data + 1, size - 1, 1U + data[0] % 64, pieces,
			       &end_pieces);
	if (n_whole != n_pieces || end_whole != end_pieces ||
	    memcmp(whole, pieces, sizeof(whole)) != 0)
		abort();
	return 0;
}
