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
       heads_that_could_be_read_in_two_ways_are_refused, bodies_are_seen,
       addresses_are_numbers_with_a_port)
