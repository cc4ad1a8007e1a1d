/* SPDX-License-Identifier: Apache-2.0 */

/* sentinel-detector: a detector to try the contract with, and to begin one's
 * own from. */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "controld/detector/service.h"
#include "controld/http/address.h"
#include "controld/rpc/secrets.h"
#include "shared/log.h"
#include "shared/version.h"

#define DEFAULT_LISTEN "127.0.0.1:50051"

enum {
	EXIT_USAGE = 2,
	DRAIN_MS = 1000,
	MESSAGE_BYTES = 64 * 1024,
};

struct detector {
	struct cp_detector_service service;
	const char *listen;
	struct cp_rpc_secrets_files files;
	bool is_done; /* --help, --version */
	uv_loop_t loop;
	uv_signal_t on_term;
	uv_signal_t on_int;
	struct cp_rpc_server *server;
};

static const char usage[] =
	"Usage: sentinel-detector [OPTION]...\n"
	"The reference detector of Sentinel: judges what hosts tell and answers.\n"
	"\n"
	"  --listen ADDRESS:PORT   (" DEFAULT_LISTEN ")\n"
	"  --tls-certificate FILE  PEM; with it TLS 1.3, without it plain text\n"
	"  --tls-key FILE          PEM\n"
	"  --tls-client-ca FILE    hosts must show a certificate of these\n"
	"  --sensitive PATH        writes to it and below it are anomalies; may be\n"
	"                          given several times (/etc, /boot, /usr and\n"
	"                          /root/.ssh, unless one is given)\n"
	"  --bytes N               so does an event of more bytes (0: none)\n"
	"  --usual COMM            only processes of these names are usual; may be\n"
	"                          given several times (without: all are)\n"
	"  --version               show the version\n"
	"  --help                  show this\n";

enum option_id {
	OPTION_LISTEN = 256,
	OPTION_CERTIFICATE,
	OPTION_KEY,
	OPTION_CLIENT_CA,
	OPTION_SENSITIVE,
	OPTION_BYTES,
	OPTION_USUAL,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "tls-certificate", required_argument, NULL, OPTION_CERTIFICATE },
	{ "tls-key", required_argument, NULL, OPTION_KEY },
	{ "tls-client-ca", required_argument, NULL, OPTION_CLIENT_CA },
	{ "sensitive", required_argument, NULL, OPTION_SENSITIVE },
	{ "bytes", required_argument, NULL, OPTION_BYTES },
	{ "usual", required_argument, NULL, OPTION_USUAL },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

/* Options. */

static bool put(const char **texts, size_t *n, const char *text)
{
	if (*n == CP_DETECTOR_JUDGE_TEXTS_MAX) {
		(void)fprintf(stderr, "sentinel-detector: more than %d\n",
			      CP_DETECTOR_JUDGE_TEXTS_MAX);
		return false;
	}
	texts[(*n)++] = text;
	return true;
}

static bool put_path(struct cp_detector_judge_rules *rules, char *path)
{
	size_t n = strlen(path);

	if (path[0] != '/') {
		(void)fprintf(stderr,
			      "sentinel-detector: --sensitive: '%s' is not "
			      "absolute\n",
			      path);
		return false;
	}
	while (n > 0 && path[n - 1] == '/')
		path[--n] = '\0';
	return put(rules->sensitive, &rules->n_sensitive, path);
}

static bool put_bytes(struct cp_detector_judge_rules *rules, const char *text)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-') {
		(void)fprintf(stderr,
			      "sentinel-detector: --bytes: '%s' is no number\n",
			      text);
		return false;
	}
	rules->bytes_max = n;
	return true;
}

static bool take_other(struct detector *detector, int option)
{
	switch (option) {
	case OPTION_VERSION:
		(void)puts("sentinel-detector " SN_VERSION);
		detector->is_done = true;
		return true;
	case OPTION_HELP:
		(void)fputs(usage, stdout);
		detector->is_done = true;
		return true;
	default:
		return false;
	}
}

/* False: not known, or refused. */
static bool take_option(struct detector *detector, int option)
{
	struct cp_detector_judge_rules *rules = &detector->service.rules;

	switch (option) {
	case OPTION_LISTEN:
		detector->listen = optarg;
		return true;
	case OPTION_CERTIFICATE:
		detector->files.certificate = optarg;
		return true;
	case OPTION_KEY:
		detector->files.key = optarg;
		return true;
	case OPTION_CLIENT_CA:
		detector->files.ca = optarg;
		return true;
	case OPTION_SENSITIVE:
		return put_path(rules, optarg);
	case OPTION_BYTES:
		return put_bytes(rules, optarg);
	case OPTION_USUAL:
		return put(rules->usual, &rules->n_usual, optarg);
	default:
		return take_other(detector, option);
	}
}

static const char *check_options(const struct detector *detector,
				 struct sn_diag *diag)
{
	const struct cp_rpc_secrets_files *files = &detector->files;
	struct cp_http_address address;

	if (cp_http_address_parse(detector->listen, &address, diag) != 0)
		return diag->text;
	if (!files->certificate != !files->key)
		return "--tls-certificate and --tls-key go together";
	if (files->ca && !files->certificate)
		return "--tls-client-ca needs --tls-certificate and --tls-key";
	return NULL;
}

static int parse_options(int argc, char **argv, struct detector *detector)
{
	static const char *const sensitive[] = { "/etc", "/boot", "/usr",
						 "/root/.ssh" };
	struct cp_detector_judge_rules *rules = &detector->service.rules;
	struct sn_diag diag = { 0 };
	const char *why = NULL;
	int option;

	detector->listen = DEFAULT_LISTEN;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		if (!take_option(detector, option)) {
			(void)fputs("Try 'sentinel-detector --help'.\n",
				    stderr);
			return EXIT_USAGE;
		}
		if (detector->is_done)
			return 0;
	}
	why = optind < argc ? "there are no arguments" :
			      check_options(detector, &diag);
	if (why) {
		(void)fprintf(stderr,
			      "sentinel-detector: %s\n"
			      "Try 'sentinel-detector --help'.\n",
			      why);
		return EXIT_USAGE;
	}
	if (rules->n_sensitive == 0) {
		(void)memcpy(rules->sensitive, sensitive, sizeof(sensitive));
		rules->n_sensitive = SN_ARRAY_SIZE(sensitive);
	}
	return 0;
}

/* Life. */

static void stopped(void *userdata)
{
	struct detector *detector = userdata;

	uv_close((uv_handle_t *)&detector->on_term, NULL);
	uv_close((uv_handle_t *)&detector->on_int, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct detector *detector = handle->data;
	struct cp_rpc_server *server = detector->server;

	(void)number;
	detector->server = NULL;
	if (server)
		cp_rpc_server_stop(server, DRAIN_MS, stopped, detector);
}

static int start(struct detector *detector)
{
	struct cp_rpc_server_options options = {
		.address = detector->listen,
		.user = &detector->service,
		.max_message_bytes = MESSAGE_BYTES,
		.gid = (gid_t)-1,
	};
	struct cp_rpc_secrets secrets = { 0 };
	struct sn_diag diag = { 0 };
	int r = 0;

	options.methods = cp_detector_service_get_methods(&options.n_methods);
	if (detector->files.certificate) {
		r = cp_rpc_secrets_load(&detector->files, &secrets, &diag);
		options.secrets = &secrets;
	}
	if (r == 0)
		r = cp_rpc_server_new(&detector->server, &detector->loop,
				      &options, &diag);
	cp_rpc_secrets_done(&secrets);
	if (r != 0) {
		sn_log(SN_LOG_ERROR, "start error='%s'",
		       diag.text[0] ? diag.text : strerror(-r));
		return r;
	}
	sn_log(SN_LOG_INFO, "listening port=%d tls=%s",
	       cp_rpc_server_get_port(detector->server),
	       options.secrets ? "yes" : "no");
	return 0;
}

static void watch_signal(struct detector *detector, uv_signal_t *handle,
			 int number)
{
	(void)uv_signal_init(&detector->loop, handle);
	handle->data = detector;
	(void)uv_signal_start(handle, on_signal, number);
}

int main(int argc, char **argv)
{
	static struct detector detector;
	int r = parse_options(argc, argv, &detector);

	if (r != 0 || detector.is_done)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&detector.loop) < 0)
		return EXIT_FAILURE;
	r = start(&detector);
	if (r == 0) {
		watch_signal(&detector, &detector.on_term, SIGTERM);
		watch_signal(&detector, &detector.on_int, SIGINT);
	}
	(void)uv_run(&detector.loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&detector.loop);
	sn_log(SN_LOG_INFO, "stopped events=%llu anomalies=%llu reports=%llu",
	       (unsigned long long)detector.service.n_events,
	       (unsigned long long)detector.service.n_anomalies,
	       (unsigned long long)detector.service.n_reports);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
