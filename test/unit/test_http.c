/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/http/http.h"

#include <netinet/in.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "controld/http/tls.h"
#include "shared/log.h"
#include "test/unit/t.h"

static uv_loop_t loop;
static unsigned int n_closed, n_not_there;
static int given;

/* In place of the C library's, for the library under test as well. */
int close(int fd)
{
	int r = (int)syscall(SYS_close, fd);

	n_closed += fd == given;
	n_not_there += r < 0;
	return r;
}

static int listen_anywhere(void *userdata)
{
	struct cp_http_address address;
	struct sn_diag diag = { 0 };

	(void)userdata;
	t_eq(cp_http_address_parse("127.0.0.1:1", &address, &diag), 0);
	((struct sockaddr_in *)&address.storage)->sin_port = 0;
	given = cp_http_address_listen(&address, 1);
	t_true(given >= 0);
	return given;
}

/* Another thread may have the number of what is closed twice. */
static void a_socket_that_cannot_serve_is_closed_once(void)
{
	const struct cp_http_tls tls = { .certificate = "x", .key = "y" };
	struct cp_http_options options = {
		.loop = &loop,
		.name = "test",
		.listen = listen_anywhere,
		.tls = &tls,
		.connections_max = 2,
	};
	struct cp_http_stats stats;
	struct cp_http *http;

	sn_log_set_level(SN_LOG_ERROR);
	t_eq(uv_loop_init(&loop), 0);
	n_not_there = 0;
	t_eq(cp_http_new(&http, &options), 0);
	cp_http_get_stats(http, &stats);
	t_false(stats.is_listening);
	t_eq(n_closed, 1);
	t_eq(n_not_there, 0);
	cp_http_close(http, NULL, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	t_eq(uv_loop_close(&loop), 0);
}

static void tls_needs_a_certificate_with_its_key(void)
{
	const struct cp_http_tls tls = { .certificate = "x", .key = "y" };
	struct sn_diag diag = { 0 };

	t_eq(cp_http_tls_check(&tls, &diag), CP_HTTP_TLS_E_REFUSED);
	t_not_null(strstr(diag.text, "certificate and key"));
}

T_MAIN("http", a_socket_that_cannot_serve_is_closed_once,
       tls_needs_a_certificate_with_its_key)
