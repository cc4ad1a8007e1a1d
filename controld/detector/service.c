/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/detector/service.h"

#include <grpc/status.h>
#include <string.h>
#include <time.h>

#include "controld/rpc/call.h"
#include "google/protobuf/empty.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "shared/log.h"
#include "shared/util.h"

/* StreamEvents. */

static void stream_began(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user)
{
	(void)message;
	(void)user;
	cp_rpc_call_next(call);
}

static void answer(struct cp_rpc_call *call,
		   const Sentinel__V1__EventEnvelope *event,
		   struct cp_detector_judge_verdict *verdict)
{
	Google__Protobuf__Timestamp now;
	Sentinel__V1__DetectionResponse response;
	struct timespec at;

	google__protobuf__timestamp__init(&now);
	sentinel__v1__detection_response__init(&response);
	(void)clock_gettime(CLOCK_REALTIME, &at);
	now.seconds = at.tv_sec;
	now.nanos = (int32_t)at.tv_nsec;
	response.event_id = event->event_id;
	response.anomaly = verdict->is_anomaly;
	response.reason = verdict->reason;
	response.score = verdict->score;
	response.ts = &now;
	if (cp_rpc_call_send(call, &response.base) != 0)
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "the answer is over the message limit");
}

static void event_came(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__EventEnvelope *event = (const void *)message;
	struct cp_detector_service *service = user;
	struct cp_detector_judge_verdict verdict;

	cp_detector_judge(&service->rules, event, &verdict);
	service->n_events++;
	if (verdict.is_anomaly) {
		service->n_anomalies++;
		sn_log(SN_LOG_WARNING,
		       "anomaly host=%s event_id=%s score=%.2f reason='%s'",
		       event->hostname, event->event_id, verdict.score,
		       verdict.reason);
	}
	answer(call, event, &verdict);
}

static void answer_sent(struct cp_rpc_call *call, void *user)
{
	(void)user;
	cp_rpc_call_next(call);
}

static void stream_ended(struct cp_rpc_call *call, void *user)
{
	(void)user;
	cp_rpc_call_finish(call);
}

/* ReportAnomaly. */

static void anomaly_came(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__AnomalyReport *report = (const void *)message;
	struct cp_detector_service *service = user;
	Google__Protobuf__Empty empty;

	google__protobuf__empty__init(&empty);
	service->n_reports++;
	sn_log(SN_LOG_WARNING, "report event_id=%s score=%.2f reason='%s'",
	       report->event_id, report->score, report->reason);
	cp_rpc_call_reply(call, &empty.base);
}

/* Health: what there is serves, until the connection ends. */

static const char *const services[] = { "", "sentinel.v1.DetectorService" };

static Grpc__Health__V1__HealthCheckResponse
check(const ProtobufCMessage *message)
{
	const Grpc__Health__V1__HealthCheckRequest *request =
		(const void *)message;
	Grpc__Health__V1__HealthCheckResponse response;

	grpc__health__v1__health_check_response__init(&response);
	response.status =
		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
	for (size_t i = 0; i < SN_ARRAY_SIZE(services); i++) {
		if (strcmp(request->service, services[i]) == 0)
			response.status =
				GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	}
	return response;
}

static void health_asked(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user)
{
	Grpc__Health__V1__HealthCheckResponse response = check(message);

	(void)user;
	if (response.status ==
	    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING)
		cp_rpc_call_reply(call, &response.base);
	else
		cp_rpc_call_fail(call, GRPC_STATUS_NOT_FOUND,
				 "this service does not exist");
}

static void health_watched(struct cp_rpc_call *call,
			   const ProtobufCMessage *message, void *user)
{
	Grpc__Health__V1__HealthCheckResponse response = check(message);

	(void)user;
	(void)cp_rpc_call_send(call, &response.base);
}

const struct cp_rpc_method *cp_detector_service_get_methods(size_t *n)
{
	static const struct cp_rpc_method methods[] = {
		{
			.path = "/sentinel.v1.DetectorService/StreamEvents",
			.request = &sentinel__v1__event_envelope__descriptor,
			.response =
				&sentinel__v1__detection_response__descriptor,
			.kind = CP_RPC_KIND_BOTH_STREAM,
			.on_call = stream_began,
			.on_message = event_came,
			.on_half_close = stream_ended,
			.on_writable = answer_sent,
		},
		{
			.path = "/sentinel.v1.DetectorService/ReportAnomaly",
			.request = &sentinel__v1__anomaly_report__descriptor,
			.response = &google__protobuf__empty__descriptor,
			.on_call = anomaly_came,
		},
		{
			.path = "/grpc.health.v1.Health/Check",
			.request =
				&grpc__health__v1__health_check_request__descriptor,
			.response =
				&grpc__health__v1__health_check_response__descriptor,
			.on_call = health_asked,
		},
		{
			.path = "/grpc.health.v1.Health/Watch",
			.request =
				&grpc__health__v1__health_check_request__descriptor,
			.response =
				&grpc__health__v1__health_check_response__descriptor,
			.kind = CP_RPC_KIND_SERVER_STREAM,
			.on_call = health_watched,
		},
	};

	*n = SN_ARRAY_SIZE(methods);
	return methods;
}
