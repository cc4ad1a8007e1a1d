// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/doctor/daemons.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/output.h"
#include "controld/rpc/message.h"

/* Numbers of <linux/capability.h>. */
#define NET_ADMIN (1ULL << 12)
#define PERFMON	  (1ULL << 38)
#define BPF	  (1ULL << 39)

static bool read_line(const char *path, const char *begins, char *text,
		      size_t size)
{
	FILE *file = fopen(path, "re");
	char line[512];
	bool is_found = false;

	while (file && !is_found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, begins, strlen(begins)) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(text, size, "%s", line + strlen(begins));
		is_found = true;
	}
	if (file)
		(void)fclose(file);
	return is_found;
}

/* The process of this name and its effective capabilities. 0: there is none. */
static long find_process(const char *name, uint64_t *capabilities)
{
	const struct dirent *entry;
	DIR *dir = opendir("/proc");
	char path[300], text[64];
	long pid = 0;

	while (dir && !pid && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/comm",
			       entry->d_name);
		if (!read_line(path, "", text, sizeof(text)) ||
		    strcmp(text, name) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/status",
			       entry->d_name);
		if (!read_line(path, "CapEff:", text, sizeof(text)))
			continue;
		*capabilities = strtoull(text, NULL, 16);
		pid = strtol(entry->d_name, NULL, 10);
	}
	if (dir)
		(void)closedir(dir);
	return pid;
}

static void look_at_process(struct cp_ctl_doctor_findings *findings,
			    const char *name, const char *next, uint64_t wanted)
{
	uint64_t capabilities = 0;
	long pid = find_process(name, &capabilities);

	if (!pid)
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_FAIL, name,
					   next, "it is not running");
	else if (capabilities == wanted)
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, name,
					   NULL,
					   "process %ld, with %s capabilities",
					   pid, wanted ? "its three" : "no");
	else
		cp_ctl_doctor_findings_put(
			findings,
			(capabilities & wanted) == wanted ? CP_CTL_DOCTOR_WARN :
							    CP_CTL_DOCTOR_FAIL,
			name, "start it by its unit, which limits them",
			"process %ld has the capabilities %016" PRIx64
			", not %016" PRIx64,
			pid, capabilities, wanted);
}

static void put_features(struct cp_ctl_doctor_findings *findings,
			 const Sentinel__V1__GetStatusResponse *status)
{
	for (size_t i = 0; i < status->n_features; i++) {
		const Sentinel__V1__FeatureStatus *one = status->features[i];

		if (one->state !=
		    SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED)
			continue;
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_WARN,
					   "feature",
					   "'sentinelctl features' shows all",
					   "%s is unsupported: %s", one->name,
					   one->reason);
	}
}

static void put_control(struct cp_ctl_doctor_findings *findings,
			const Sentinel__V1__ControlPlaneStatus *control)
{
	char state[CP_CTL_OUTPUT_TEXT_BYTES];

	if (!control) {
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK,
					   "control plane", NULL,
					   "none is configured");
		return;
	}
	(void)cp_ctl_output_enum(&sentinel__v1__control_plane_state__descriptor,
				 (int)control->state, state);
	if (control->state ==
	    SENTINEL__V1__CONTROL_PLANE_STATE__CONTROL_PLANE_STATE_SYNCED)
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK,
					   "control plane", NULL, "synced, %s",
					   control->url);
	else
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_FAIL, "control plane",
			"see control in the configuration, and the server",
			"%s, %s: %s", state, control->url, control->last_error);
}

static void put_status(struct cp_ctl_doctor_findings *findings,
		       const Sentinel__V1__GetStatusResponse *status)
{
	const Sentinel__V1__DataplaneStatus *dataplane = status->dataplane;

	cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, "API", NULL,
				   "%s answers",
				   findings->session->options.socket);
	if (dataplane && dataplane->connected)
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, "link",
					   NULL, "sentinel-dp %s is connected",
					   dataplane->version);
	else
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_FAIL, "link",
			"see the log of sentinel-dp",
			"sentinel-cp has no connection to sentinel-dp: %s",
			dataplane ? dataplane->last_error : "");
	put_features(findings, status);
	for (size_t i = 0; i < status->n_warnings; i++)
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_WARN,
					   "status", NULL, "%s",
					   status->warnings[i]);
	put_control(findings, status->control_plane);
}

/* The call's own messages are not wanted here. */
static void look_at_api(struct cp_ctl_doctor_findings *findings)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	struct cp_ctl_session *session = findings->session;
	struct cp_rpc_status status = { .code = 0 };
	Sentinel__V1__GetStatusRequest request;
	int r = 0;

	sentinel__v1__get_status_request__init(&request);
	if (!session->client)
		r = cp_rpc_client_new(&session->client, session->options.socket,
				      CP_CTL_SESSION_TIMEOUT_MS, &status);
	if (r == 0)
		r = cp_rpc_client_call(
			session->client, "/sentinel.v1.DaemonService/GetStatus",
			&request.base,
			&sentinel__v1__get_status_response__descriptor, &answer,
			&status);
	if (r == 0)
		put_status(findings,
			   (const Sentinel__V1__GetStatusResponse *)answer);
	else
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_FAIL, "API",
			"start sentinel-cp, or name its socket with --socket",
			"%s", r < 0 ? strerror(-r) : status.text);
}

void cp_ctl_doctor_daemons_look(struct cp_ctl_doctor_findings *findings)
{
	look_at_process(findings, "sentinel-dp",
			"systemctl start sentinel-dp; its log tells why not",
			BPF | NET_ADMIN | PERFMON);
	look_at_process(findings, "sentinel-cp",
			"systemctl start sentinel-cp; its log tells why not",
			0);
	look_at_api(findings);
}
