include $(sort $(wildcard $(BR2_EXTERNAL_BRAMBLE_PATH)/package/*/*.mk))
