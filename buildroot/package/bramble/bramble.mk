################################################################################
#
# bramble
#
################################################################################

BRAMBLE_VERSION = 0.1.0
BRAMBLE_SITE = $(BR2_EXTERNAL_BRAMBLE_PATH)/..
BRAMBLE_SITE_METHOD = local
BRAMBLE_LICENSE = Apache-2.0
BRAMBLE_LICENSE_FILES = LICENSE
BRAMBLE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude /target \
	--exclude /buildroot/output \
	--exclude /ui/node_modules

# What image/build calls. Not all of these can be chosen in a configuration.
ifeq ($(BR2_PACKAGE_BRAMBLE_IMAGE),y)
BRAMBLE_DEPENDENCIES += \
	host-cpio \
	host-dosfstools \
	host-e2fsprogs \
	host-mtools \
	host-openssl \
	host-python3 \
	host-squashfs \
	host-zstd
endif

ifeq ($(BR2_PACKAGE_BRAMBLE_PREBUILT),y)

BRAMBLE_BINARY = $(call qstrip,$(BR2_PACKAGE_BRAMBLE_PREBUILT_PATH))

define BRAMBLE_BUILD_CMDS
	test -x $(BRAMBLE_BINARY) || \
		{ echo "$(BRAMBLE_BINARY) is not there: run scripts/cross.sh of Bramble's source tree" >&2; exit 1; }
endef

else

BRAMBLE_BINARY = $(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)/bramble
BRAMBLE_CARGO_BUILD_OPTS = --package bramble

# A local source is not vendored: its crates are fetched before the build,
# which itself is offline.
define BRAMBLE_FETCH_CRATES
	cd $(@D) && $(TARGET_MAKE_ENV) $(PKG_CARGO_ENV) cargo fetch --locked
endef
BRAMBLE_PRE_BUILD_HOOKS += BRAMBLE_FETCH_CRATES

endif

# The root of the workspace is no package that cargo could install.
define BRAMBLE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(BRAMBLE_BINARY) $(TARGET_DIR)/usr/bin/bramble
endef

define BRAMBLE_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/systemd/bramble.service \
		$(TARGET_DIR)/usr/lib/systemd/system/bramble.service
	$(INSTALL) -D -m 0644 $(@D)/firmware/board/60-bramble-board.rules \
		$(TARGET_DIR)/usr/lib/udev/rules.d/60-bramble-board.rules
endef

define BRAMBLE_USERS
	bramble 990 bramble 990 * - - systemd-journal Bramble
endef

ifeq ($(BR2_PACKAGE_BRAMBLE_PREBUILT),y)
$(eval $(generic-package))
else
$(eval $(cargo-package))
endif
