/* SPDX-License-Identifier: Apache-2.0 */

#include "controld/http/address.h"
#include "controld/http/check.h"
#include "test/unit/t.h"

/* Pairs of key and value, ended by NULL. */
static unsigned int judge(const char *version, const char *path,
			  const char *const *headers)
{
	struct cp_http_check check = { 0 };

	for (; headers[0]; headers += 2)
		cp_http_check_header(&check, headers[0], headers[1]);
	return cp_http_check_done(&check, version, path);
}

#define JUDGE(...) \
	judge("HTTP/1.1", "/", (const char *const[]){ __VA_ARGS__, NULL })

static void heads_that_can_be_read_in_one_way_pass(void)
{
	t_eq(JUDGE("Host", "a"), 0);
	t_eq(JUDGE("Host", "a", "Content-Length", "0"), 0);
	t_eq(JUDGE("host", "", "transfer-encoding", "Chunked"), 0);
	t_eq(judge("HTTP/1.0", "/x", (const char *const[]){ NULL }), 0);
}

static void heads_that_could_be_read_in_two_ways_are_refused(void)
{
	t_eq(JUDGE("Host", "a", "Content-Length", "1", "Content-Length", "1"),
	     400);
	t_eq(JUDGE("Host", "a", "Content-Length", "1", "Transfer-Encoding",
		   "chunked"),
	     400);
	t_eq(JUDGE("Host", "a", "Transfer-Encoding", "chunked, chunked"), 400);
	t_eq(JUDGE("Host", "a", "Content-Length", "+1"), 400);
	t_eq(JUDGE("Host", "a", "Content-Length", ""), 400);
	t_eq(JUDGE("Host", "a", "Content-Length", "18446744073709551616"), 400);
	t_eq(JUDGE("Host", "a", "Content-Length ", "1"), 400);
	t_eq(JUDGE("Host", "a", "X", "a\rb"), 400);
	t_eq(JUDGE("Host", "a", "Host", "a"), 400);
	t_eq(JUDGE("Host", "a", "Authorization", "b", "authorization", "b"),
	     400);
	t_eq(JUDGE("Host", "a", "Origin", "b", "Origin", "c"), 400);
	t_eq(JUDGE("Host", "a", "X", "b", "X", "c"), 0);
	t_eq(JUDGE("X", "a"), 400);
	t_eq(judge("HTTP/1.0", "/",
		   (const char *const[]){ "Transfer-Encoding", "chunked",
					  NULL }),
	     400);
	t_eq(judge("HTTP/1.1", "http://a/",
		   (const char *const[]){ "Host", "a", NULL }),
	     400);
}

/* As the library hands a head on: every end of a part in it is NUL already. */
static unsigned int judge_bytes(const char *head, size_t size, size_t version,
				size_t n_headers, const size_t (*headers)[2])
{
	struct cp_http_check check = { 0 };

	cp_http_check_line(&check, head, head + 4, false, head + version);
	for (size_t i = 0; i < n_headers; i++) {
		cp_http_check_header(&check, head + headers[i][0],
				     head + headers[i][1]);
		cp_http_check_place(&check, head + headers[i][0],
				    head + headers[i][1]);
	}
	cp_http_check_end(&check, head, size);
	return cp_http_check_done(&check, "HTTP/1.1", "/");
}

#define BYTES(head, version, ...)                                \
	judge_bytes(head, sizeof(head) - 1, version,             \
		    sizeof((const size_t[][2]){ __VA_ARGS__ }) / \
			    sizeof(size_t[2]),                   \
		    (const size_t[][2]){ __VA_ARGS__ })
#define LINE "GET\0/\0HTTP/1.1\0\0"

static void heads_of_which_all_is_handed_on_pass(void)
{
	t_eq(BYTES(LINE "Host\0 a\0\0\0\0", 6, { 16, 22 }), 0);
	t_eq(BYTES(LINE "Host\0a\0\0X\0  \0\0\0\0", 6, { 16, 21 }, { 24, 28 }),
	     0);
	t_eq(BYTES("GET\0/\0\0HTTP/1.1\0\0Host\0 a\0\0\0\0", 7, { 17, 23 }), 0);
}

static void heads_of_which_something_is_missing_are_refused(void)
{
	/* a NUL in a value, one that ends the head, a name from elsewhere, LF
	 * without CR, a NUL in the path */
	t_eq(BYTES(LINE "Host\0 a\0b\0\0\0\0", 6, { 16, 22 }), 400);
	t_eq(BYTES(LINE "Host\0 a\0b\0\0X\0 y\0\0\0\0", 6, { 16, 22 },
		   { 27, 30 }),
	     400);
	t_eq(BYTES(LINE "Host\0 a\0\0\0X: y\0\0", 6, { 16, 22 }), 400);
	t_eq(BYTES(LINE "Host\0 a\0\0X\0 y\0\0\0\0X\0", 6, { 16, 22 },
		   { 34, 28 }),
	     400);
	t_eq(BYTES(LINE "Host\0 a\0\0", 6, { 16, 22 }), 400);
	t_eq(BYTES("GET\0/\0x\0HTTP/1.1\0\0Host\0 a\0\0\0\0", 8, { 18, 24 }),
	     400);
}

static void bodies_are_seen(void)
{
	struct cp_http_check check = { 0 };

	cp_http_check_header(&check, "Content-Length", "0");
	t_false(cp_http_check_has_body(&check));
	check = (struct cp_http_check){ 0 };
	cp_http_check_header(&check, "Content-Length", "7");
	t_true(cp_http_check_has_body(&check));
	t_eq(check.length, 7);
}

static void addresses_are_numbers_with_a_port(void)
{
	static const char *const wrong[] = {
		"",	      "127.0.0.1",   "127.0.0.1:0", "127.0.0.1:65536",
		"::1:80",     "[::1]",	     "[::1]80",	    "localhost:80",
		"1.2.3.4:8x", "1.2.3.4:-80", ":80",	    "[127.0.0.1]:80",
	};
	struct cp_http_address address;
	struct sn_diag diag = { 0 };

	t_eq(cp_http_address_parse("127.0.0.1:9102", &address, &diag), 0);
	t_true(cp_http_address_is_loopback(&address));
	t_eq(cp_http_address_parse("[::1]:65535", &address, &diag), 0);
	t_true(cp_http_address_is_loopback(&address));
	t_eq(cp_http_address_parse("0.0.0.0:1", &address, &diag), 0);
	t_false(cp_http_address_is_loopback(&address));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		t_eq(cp_http_address_parse(wrong[i], &address, &diag),
		     CP_HTTP_ADDRESS_E_REFUSED);
}

T_MAIN("http_check", heads_that_can_be_read_in_one_way_pass,
       heads_that_could_be_read_in_two_ways_are_refused,
       heads_of_which_all_is_handed_on_pass,
       heads_of_which_something_is_missing_are_refused, bodies_are_seen,
       addresses_are_numbers_with_a_port)
