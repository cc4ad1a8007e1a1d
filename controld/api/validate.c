/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/validate.h"

#include <limits.h>
#include <net/if.h>
#include <string.h>

#include "controld/policy/convert.h"
#include "controld/target/name.h"

#define HEX "0123456789abcdef"
#define KEY_CHARS                    \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"abcdefghijklmnopqrstuvwxyz" \
	"0123456789._/-"

#define refuse(diag, field, ...) \
	(sn_diag_set(diag, field, __VA_ARGS__), CP_API_VALIDATE_E_INVALID)

int cp_api_validate_id(const char *id, struct sn_diag *diag)
{
	if (strspn(id, HEX) == CP_ATTACH_ID_CHARS && !id[CP_ATTACH_ID_CHARS])
		return 0;
	return refuse(diag, "id", "must be %d lower-case hex digits",
		      CP_ATTACH_ID_CHARS);
}

int cp_api_validate_prefix(const char *prefix, struct sn_diag *diag)
{
	size_t n = strspn(prefix, HEX);

	if (!prefix[n] && n <= (size_t)CP_ATTACH_ID_CHARS)
		return 0;
	return refuse(diag, "id_prefix",
		      "must be up to %d lower-case hex digits",
		      CP_ATTACH_ID_CHARS);
}

int cp_api_validate_page(uint32_t size, uint32_t fallback, uint32_t max,
			 uint32_t *ret, struct sn_diag *diag)
{
	if (size > max)
		return refuse(diag, "page_size", "must be 1 to %u, or 0 for %u",
			      max, fallback);
	*ret = size ? size : fallback;
	return 0;
}

int cp_api_validate_rule_token(const char *token, uint32_t *ret,
			       struct sn_diag *diag)
{
	uint64_t value = 0;
	size_t n = strspn(token, "0123456789");

	if (token[n] || n > 10)
		return refuse(diag, "page_token", "is not from an answer");
	for (size_t i = 0; i < n; i++)
		value = 10 * value + (uint64_t)(token[i] - '0');
	if (value > UINT32_MAX)
		return refuse(diag, "page_token", "is not from an answer");
	*ret = (uint32_t)value;
	return 0;
}

int cp_api_validate_learnt_token(const char *token, bool *is_set,
				 struct cp_dns_learnt_row *ret,
				 struct sn_diag *diag)
{
	char address[CP_POLICY_CIDR_TEXT_BYTES];
	struct cp_policy_cidr cidr;
	const char *blank = strchr(token, ' ');
	size_t n = blank ? (size_t)(blank - token) : 0;

	(void)memset(ret, 0, sizeof(*ret));
	*is_set = token[0] != '\0';
	if (!*is_set)
		return 0;
	if (n == 0 || n >= sizeof(address))
		return refuse(diag, "page_token", "is not from an answer");
	(void)memcpy(address, token, n);
	address[n] = '\0';
	if (cp_policy_cidr_parse(address, &cidr, diag) != 0 ||
	    !cp_policy_cidr_is_host(&cidr) ||
	    cp_dns_name_parse(blank + 1, &ret->name, diag) != 0)
		return refuse(diag, "page_token", "is not from an answer");
	ret->address.family = cidr.family;
	(void)memcpy(ret->address.bytes, cidr.address,
		     sizeof(ret->address.bytes));
	return 0;
}

void cp_api_validate_make_learnt_token(
	const struct cp_dns_learnt_row *row,
	char token[CP_API_VALIDATE_LEARNT_TOKEN_BYTES])
{
	const struct cp_policy_cidr cidr = cp_policy_cidr_around(
		(enum sn_family)row->address.family, row->address.bytes,
		row->address.family == SN_FAMILY_IPV4 ? 32 : 128);
	size_t n;

	(void)cp_policy_cidr_format(&cidr, token);
	n = strlen(token);
	token[n] = ' ';
	(void)cp_dns_name_format(&row->name, token + n + 1);
}

static int check_interface(const char *name, struct sn_diag *diag)
{
	if (strlen(name) >= IF_NAMESIZE)
		return refuse(diag, "interface_name", "has more than %d bytes",
			      IF_NAMESIZE - 1);
	if (!cp_target_name_is_iface(name))
		return refuse(diag, "interface_name",
			      "is no possible name of an interface");
	return 0;
}

static int check_cgroup(const char *path, struct sn_diag *diag)
{
	if (path[0] != '/')
		return refuse(diag, "cgroup_path", "must begin with '/'");
	if (strlen(path) >= CP_ATTACH_TARGET_BYTES)
		return refuse(diag, "cgroup_path", "has more than %d bytes",
			      CP_ATTACH_TARGET_BYTES - 1);
	if (!cp_target_name_is_cgroup(path))
		return refuse(diag, "cgroup_path",
			      "must not contain '.', '..', '//' or a name of "
			      "more than %d bytes, nor end with '/'",
			      NAME_MAX);
	return 0;
}

static int check_pair(const char *key, const char *value, struct sn_diag *diag)
{
	size_t n = strlen(key);

	if (n == 0 || n > CP_API_VALIDATE_KEY_BYTES ||
	    strspn(key, KEY_CHARS) != n)
		return refuse(
			diag, "metadata",
			"a key must be 1 to %d bytes of A-Z a-z 0-9 . _ / "
			"-",
			CP_API_VALIDATE_KEY_BYTES);
	if (strlen(value) > CP_API_VALIDATE_VALUE_BYTES)
		return refuse(diag, "metadata",
			      "the value of '%s' has more than %d bytes", key,
			      CP_API_VALIDATE_VALUE_BYTES);
	return 0;
}

static int take_metadata(const Sentinel__V1__AttachRequest *message,
			 struct cp_attach_pair *pairs, struct sn_diag *diag)
{
	int r;

	if (message->n_metadata > CP_ATTACH_METADATA_MAX)
		return refuse(diag, "metadata", "has more than %d pairs",
			      CP_ATTACH_METADATA_MAX);
	for (size_t i = 0; i < message->n_metadata; i++) {
		pairs[i].key = message->metadata[i]->key;
		pairs[i].value = message->metadata[i]->value;
		r = check_pair(pairs[i].key, pairs[i].value, diag);
		if (r)
			return r;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(pairs[i].key, pairs[j].key) == 0)
				return refuse(diag, "metadata",
					      "key '%s' is there twice",
					      pairs[i].key);
		}
	}
	return 0;
}

int cp_api_validate_attach(const Sentinel__V1__AttachRequest *message,
			   struct cp_attach_request *ret,
			   struct cp_attach_pair *pairs, struct sn_diag *diag)
{
	bool is_iface = message->interface_name[0];
	int r;

	if (is_iface == (message->cgroup_path[0] != '\0'))
		return refuse(diag, is_iface ? "cgroup_path" : "interface_name",
			      "exactly one of interface_name and cgroup_path "
			      "must be stated");
	if (!is_iface && message->role != SENTINEL__V1__ROLE__ROLE_UNSPECIFIED)
		return refuse(diag, "role", "is for interfaces only");
	r = is_iface ? check_interface(message->interface_name, diag) :
		       check_cgroup(message->cgroup_path, diag);
	if (r == 0)
		r = take_metadata(message, pairs, diag);
	if (r)
		return r;
	ret->type = is_iface ? SN_TARGET_TC : SN_TARGET_CGROUP;
	ret->target = is_iface ? message->interface_name : message->cgroup_path;
	ret->role = SN_ROLE_NONE;
	if (message->role == SENTINEL__V1__ROLE__ROLE_WORKLOAD)
		ret->role = SN_ROLE_WORKLOAD;
	else if (message->role == SENTINEL__V1__ROLE__ROLE_HOST)
		ret->role = SN_ROLE_HOST;
	ret->metadata = pairs;
	ret->n_metadata = message->n_metadata;
	return 0;
}

int cp_api_validate_mode(const Sentinel__V1__AttachRequest *message,
			 struct cp_policy *policy, struct sn_diag *diag)
{
	struct cp_policy_settings settings = cp_policy_get_settings(policy);
	enum sn_mode mode = settings.mode;
	int r;

	r = cp_policy_convert_mode(message->mode, "mode", &mode, diag);
	if (r)
		return CP_API_VALIDATE_E_INVALID;
	if (message->policy && mode != settings.mode &&
	    message->policy->mode != SENTINEL__V1__MODE__MODE_UNSPECIFIED)
		return refuse(diag, "mode", "contradicts policy.mode");
	settings.mode = mode;
	settings.audit = settings.audit || message->audit;
	cp_policy_put_settings(policy, &settings);
	return 0;
}
