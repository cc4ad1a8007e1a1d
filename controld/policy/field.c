/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/policy/field.h"

#include <stdio.h>
#include <string.h>

#include "controld/policy/convert.h"

const char *cp_policy_field_join(char buffer[CP_POLICY_FIELD_BYTES],
				 const char *field, const char *name)
{
	int n = snprintf(buffer, CP_POLICY_FIELD_BYTES, "%s%s%s", field,
			 *field && *name ? "." : "", name);

	if (n < 0)
		*buffer = '\0';
	return buffer;
}

int cp_policy_field_refuse(struct sn_diag *diag, const char *field,
			   const char *name)
{
	char whole[CP_POLICY_FIELD_BYTES];
	char text[SN_DIAG_TEXT_BYTES];

	(void)memcpy(text, diag->text, sizeof(text));
	sn_diag_set(diag, cp_policy_field_join(whole, field, name), "%s", text);
	return CP_POLICY_CONVERT_E_INVALID;
}

int cp_policy_field_refuse_answer(struct sn_diag *diag, const char *field,
				  const char *name)
{
	sn_diag_set(diag, NULL, "is only for answers");
	return cp_policy_field_refuse(diag, field, name);
}

int cp_policy_field_read_verdict(Sentinel__V1__Verdict message,
				 const char *field, enum sn_verdict *ret,
				 struct sn_diag *diag)
{
	if (message == SENTINEL__V1__VERDICT__VERDICT_ALLOW) {
		*ret = SN_VERDICT_ALLOW;
	} else if (message == SENTINEL__V1__VERDICT__VERDICT_DENY) {
		*ret = SN_VERDICT_DENY;
	} else {
		sn_diag_set(diag, NULL, "must be ALLOW or DENY");
		return cp_policy_field_refuse(diag, field, "verdict");
	}
	return 0;
}

int cp_policy_field_read_ports(char *const *texts, size_t n_texts,
			       const char *field,
			       struct cp_policy_ports ret[CP_POLICY_PORTS_MAX],
			       uint8_t *n, struct sn_diag *diag)
{
	char name[32];
	size_t index = 0;

	if (cp_policy_ports_parse_list((const char *const *)texts, n_texts, ret,
				       n, &index, diag) == 0)
		return 0;
	(void)snprintf(name, sizeof(name), "ports[%zu]", index);
	return cp_policy_field_refuse(diag, field, name);
}

Sentinel__V1__Verdict cp_policy_field_to_verdict(uint8_t verdict)
{
	return verdict == SN_VERDICT_ALLOW ?
		       SENTINEL__V1__VERDICT__VERDICT_ALLOW :
		       SENTINEL__V1__VERDICT__VERDICT_DENY;
}
