# SPDX-License-Identifier: Apache-2.0
# proto/sentinel/v1/x.proto becomes sentinel/v1/x.pb-c.[ch] in $(B)/proto.

PROTOC_C ?= protoc-c

protos := $(sort $(wildcard proto/sentinel/v1/*.proto \
	    proto/sentinel/*/v1/*.proto proto/google/protobuf/*.proto \
	    proto/grpc/health/v1/*.proto))
proto_headers := $(patsubst proto/%.proto,$(B)/proto/%.pb-c.h,$(protos))
proto_obj := $(patsubst %.h,%.o,$(proto_headers))

# One run makes both files; imports may reach into any other proto file.
$(B)/proto/%.pb-c.c $(B)/proto/%.pb-c.h &: proto/%.proto $(protos)
	@mkdir -p $(B)/proto
	$(call say,PROTOC,$<)
	$(Q)$(PROTOC_C) --proto_path=proto --c_out=$(B)/proto $<

# Generated code is compiled without our warnings.
$(B)/proto/%.pb-c.o: $(B)/proto/%.pb-c.c $(B)/.flags | $(proto_headers)
	$(call say,CC,$<)
	$(Q)$(CC) -I$(B)/proto $(CPPFLAGS) $(CFLAGS) -w -c -o $@ $<

.SECONDARY: $(proto_headers) $(proto_headers:.h=.c)
