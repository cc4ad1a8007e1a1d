/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/channel.h"

#include <assert.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/core.h"
#include "controld/rpc/outgoing.h"
#include "controld/rpc/tls.h"

enum {
	MAX_ARGS = 16,
	/* For one address of several, before the next is tried. */
	CONNECT_MS = 3000,
	MAX_METADATA_BYTES = 16 * 1024,
	TARGET_BYTES = CP_RPC_URL_HOST_BYTES + 32,
	CONFIG_BYTES = 256,
};

/* What gRPC's threads need to judge a certificate; gRPC frees it. */
struct verifier {
	grpc_tls_certificate_verifier_external external;
	struct cp_rpc_url url;
	struct cp_rpc_peer_pin pins[CP_RPC_PEER_PINS_MAX];
	size_t n_pins;
};

/* Refuses whatever it cannot judge. */
static int verify(void *userdata,
		  grpc_tls_custom_verification_check_request *request,
		  grpc_tls_on_custom_verification_check_done_cb callback,
		  void *callback_arg, grpc_status_code *status, char **details)
{
	const struct verifier *verifier = userdata;
	const char *pem = request->peer_info.peer_cert;
	struct sn_diag diag = { 0 };
	int r = -EPROTO;

	(void)callback;
	(void)callback_arg;
	if (pem)
		r = cp_rpc_peer_check(pem, &verifier->url, verifier->pins,
				      verifier->n_pins, &diag);
	*status = GRPC_STATUS_OK;
	if (r) {
		*status = GRPC_STATUS_UNAUTHENTICATED;
		*details = gpr_strdup(r > 0 ? diag.text :
					      "no certificate to check");
	}
	return 1;
}

static void
verify_cancelled(void *userdata,
		 grpc_tls_custom_verification_check_request *request)
{
	(void)userdata;
	(void)request;
}

static void free_verifier(void *userdata)
{
	free(userdata);
}

static grpc_tls_certificate_verifier *
make_verifier(const struct cp_rpc_channel_options *options)
{
	struct verifier *verifier = calloc(1, sizeof(*verifier));

	if (!verifier)
		return NULL;
	verifier->url = options->url;
	(void)memcpy(verifier->pins, options->pins, sizeof(verifier->pins));
	verifier->n_pins = options->n_pins;
	verifier->external = (grpc_tls_certificate_verifier_external){
		.user_data = verifier,
		.verify = verify,
		.cancel = verify_cancelled,
		.destruct = free_verifier,
	};
	return grpc_tls_certificate_verifier_external_create(
		&verifier->external);
}

static grpc_channel_credentials *
make_tls(const struct cp_rpc_channel_options *options,
	 const struct cp_rpc_secrets *secrets)
{
	grpc_tls_certificate_verifier *verifier = make_verifier(options);
	grpc_tls_credentials_options *tls;

	if (!verifier)
		return NULL;
	tls = cp_rpc_tls_options_new(secrets);
	grpc_tls_credentials_options_set_verify_server_cert(tls, 1);
	grpc_tls_credentials_options_set_certificate_verifier(tls, verifier);
	/* The library's own check of the host would look at the call's
	 * authority only, and is replaced by the verifier. */
	grpc_tls_credentials_options_set_check_call_host(tls, 0);
	grpc_tls_certificate_verifier_release(verifier);
	return grpc_tls_credentials_create(tls);
}

static void put_int(grpc_channel_args *args, const char *key, size_t value)
{
	assert(args->num_args < MAX_ARGS);
	args->args[args->num_args++] = (grpc_arg){
		.type = GRPC_ARG_INTEGER,
		/* gRPC copies the key; its type forgot the const. */
		.key = (char *)(uintptr_t)key,
		.value.integer = (int)SN_MIN(value, (size_t)INT_MAX),
	};
}

static void put_text(grpc_channel_args *args, const char *key, char *value)
{
	assert(args->num_args < MAX_ARGS);
	args->args[args->num_args++] = (grpc_arg){
		.type = GRPC_ARG_STRING,
		.key = (char *)(uintptr_t)key,
		.value.string = value,
	};
}

/* The library has limits of single methods only here. */
static void format_limits(const struct cp_rpc_channel_options *options,
			  char text[CONFIG_BYTES])
{
	int n = snprintf(text, CONFIG_BYTES,
			 "{\"methodConfig\":[{\"name\":[{\"service\":\"%s\","
			 "\"method\":\"%s\"}],"
			 "\"maxResponseMessageBytes\":%zu}]}",
			 options->small_service, options->small_method,
			 options->max_small_bytes);

	assert(n > 0 && n < CONFIG_BYTES);
	(void)n;
}

static grpc_channel *make_channel(const struct cp_rpc_channel_options *options,
				  grpc_channel_credentials *credentials)
{
	static const char *const schemes[] = {
		[CP_RPC_URL_KIND_NAME] = "dns:///",
		[CP_RPC_URL_KIND_IPV4] = "ipv4:",
		[CP_RPC_URL_KIND_IPV6] = "ipv6:",
	};
	const struct cp_rpc_url *url = &options->url;
	bool is_v6 = url->kind == CP_RPC_URL_KIND_IPV6;
	char authority[TARGET_BYTES], target[TARGET_BYTES];
	char limits[CONFIG_BYTES];
	grpc_arg array[MAX_ARGS];
	grpc_channel_args args = { .args = array };

	(void)snprintf(authority, sizeof(authority), "%s%s%s:%u",
		       is_v6 ? "[" : "", url->host, is_v6 ? "]" : "",
		       url->port);
	(void)snprintf(target, sizeof(target), "%s%s", schemes[url->kind],
		       authority);
	put_text(&args, GRPC_ARG_DEFAULT_AUTHORITY, authority);
	put_int(&args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		options->max_message_bytes);
	if (options->small_method) {
		format_limits(options, limits);
		put_text(&args, GRPC_ARG_SERVICE_CONFIG, limits);
	}
	put_int(&args, GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES);
	put_int(&args, GRPC_ARG_KEEPALIVE_TIME_MS, options->keepalive_ms);
	put_int(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
		options->keepalive_timeout_ms);
	put_int(&args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
	put_int(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS);
	/* Shared connections would share their back-off as well. */
	put_int(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
	put_int(&args, GRPC_ARG_ENABLE_RETRIES, 0);
	put_int(&args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
	put_int(&args, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
	/* A small compressed message can unfold into any size. */
	put_int(&args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
	return grpc_channel_create(target, credentials, &args);
}

/* Puts a connection made of what the worker read in the place of the old. */
static int replace(struct cp_rpc_channel *channel, struct sn_diag *diag)
{
	const struct cp_rpc_channel_options *options = &channel->options;
	grpc_channel_credentials *credentials;

	if (channel->channel)
		grpc_channel_destroy(channel->channel);
	channel->channel = NULL;
	credentials = options->url.is_tls ?
			      make_tls(options, &channel->secrets) :
			      grpc_insecure_credentials_create();
	if (!credentials) {
		sn_diag_set(diag, NULL, "certificates or key cannot be used");
		return -EINVAL;
	}
	channel->channel = make_channel(options, credentials);
	grpc_channel_credentials_release(credentials);
	return 0;
}

static void free_channel(struct cp_rpc_queue *queue)
{
	struct cp_rpc_channel *channel =
		sn_container_of(queue, struct cp_rpc_channel, queue);
	void (*closed)(void *userdata) = channel->closed;
	void *userdata = channel->closed_userdata;

	cp_rpc_secrets_done(&channel->secrets);
	free(channel);
	cp_rpc_core_done();
	if (closed)
		closed(userdata);
}

void cp_rpc_channel_call_ended(struct cp_rpc_channel *channel)
{
	if (!channel->is_closing || !LIST_EMPTY(&channel->calls) ||
	    channel->is_loading || channel->is_stopped)
		return;
	channel->is_stopped = true;
	if (channel->channel)
		grpc_channel_destroy(channel->channel);
	cp_rpc_queue_stop(&channel->queue, free_channel);
}

static void load(uv_work_t *work)
{
	struct cp_rpc_channel *channel =
		sn_container_of(work, struct cp_rpc_channel, work);

	channel->load_r = cp_rpc_secrets_load(
		&channel->options.files, &channel->loaded, &channel->load_diag);
}

static void loaded(uv_work_t *work, int status)
{
	struct cp_rpc_channel *channel =
		sn_container_of(work, struct cp_rpc_channel, work);
	int r = status < 0 ? status : channel->load_r;

	channel->is_loading = false;
	if (channel->is_closing) {
		cp_rpc_secrets_done(&channel->loaded);
		cp_rpc_channel_call_ended(channel);
		return;
	}
	if (r == 0) {
		cp_rpc_secrets_done(&channel->secrets);
		channel->secrets = channel->loaded;
		channel->loaded = (struct cp_rpc_secrets){ 0 };
		r = replace(channel, &channel->load_diag);
	}
	if (r < 0 && !channel->load_diag.text[0])
		sn_diag_set(&channel->load_diag, NULL, "%s", strerror(-r));
	channel->opened(channel->opened_userdata, r, &channel->load_diag);
}

int cp_rpc_channel_new(struct cp_rpc_channel **ret, uv_loop_t *loop)
{
	struct cp_rpc_channel *channel;
	int r;

	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return sn_trace(-ENOMEM);
	channel->loop = loop;
	LIST_INIT(&channel->calls);
	cp_rpc_core_init();
	r = cp_rpc_queue_init(&channel->queue, loop);
	if (r < 0) {
		cp_rpc_core_done();
		free(channel);
		return sn_trace(r);
	}
	*ret = channel;
	return 0;
}

int cp_rpc_channel_open(struct cp_rpc_channel *channel,
			const struct cp_rpc_channel_options *options,
			cp_rpc_channel_opened opened, void *userdata)
{
	int r;

	assert(!channel->is_loading && !channel->is_closing);
	channel->options = *options;
	channel->opened = opened;
	channel->opened_userdata = userdata;
	channel->load_diag = (struct sn_diag){ 0 };
	r = uv_queue_work(channel->loop, &channel->work, load, loaded);
	channel->is_loading = r == 0;
	return sn_trace(r);
}

void cp_rpc_channel_close(struct cp_rpc_channel *channel,
			  void (*closed)(void *userdata), void *userdata)
{
	struct cp_rpc_outgoing *call;

	assert(!channel->is_closing);
	channel->is_closing = true;
	channel->closed = closed;
	channel->closed_userdata = userdata;
	LIST_FOREACH(call, &channel->calls, link)
		(void)grpc_call_cancel(call->call, NULL);
	cp_rpc_channel_call_ended(channel);
}
