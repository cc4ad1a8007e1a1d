/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <endian.h>

#define bpf_htons(x)	   htobe16(x)
#define bpf_ntohs(x)	   be16toh(x)
#define bpf_htonl(x)	   htobe32(x)
#define bpf_ntohl(x)	   be32toh(x)
#define bpf_cpu_to_be64(x) htobe64(x)
