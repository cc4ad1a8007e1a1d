# SPDX-License-Identifier: Apache-2.0
# Compiler, linker and library flags.

PKG_CONFIG ?= pkg-config

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes \
	    -Wstrict-prototypes -Wformat=2 -Wcast-qual -Wvla -Werror
INCLUDES := -I.
CPPFLAGS := -D_GNU_SOURCE
CFLAGS := -std=gnu11 -O2 -g -fno-strict-aliasing -fPIE -fstack-protector-strong \
	  -fstack-clash-protection -ffile-prefix-map=$(CURDIR)=.
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

ifeq ($(ARCH),x86_64)
CFLAGS += -fcf-protection
endif

# Fortified calls hide overflows from the sanitizers.
ifeq ($(SAN),)
CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else
CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all \
	  -fno-omit-frame-pointer
LDFLAGS += -fsanitize=$(SAN)
endif

# $(call pkg,modules,fallback): the fallback serves where pkg-config or a .pc
# file is missing. grpc.pc lists some sixty libraries of which two are enough.
pkg = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null || echo '$(2)')

dp_libs := $(call pkg,libbpf libelf zlib,-lbpf -lelf -lz) \
	   $(call pkg,libcap libseccomp,-lcap -lseccomp)
ctl_libs := $(call pkg,libprotobuf-c,-lprotobuf-c) -lgrpc -lgpr \
	    $(call pkg,yaml-0.1 jansson libidn2 libcrypto, \
	      -lyaml -ljansson -lidn2 -lcrypto) \
	    $(call pkg,ncursesw,-lncursesw -ltinfo) -lm
cp_libs := $(ctl_libs) \
	   $(call pkg,libuv libssl,-luv -lssl) -lunbound \
	   $(call pkg,libseccomp libmnl,-lseccomp -lmnl) \
	   $(call pkg,libmicrohttpd gnutls mount zlib, \
	     -lmicrohttpd -lgnutls -lmount -lz)
check_libs := $(call pkg,check,-lcheck)
