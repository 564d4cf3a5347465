# Nút mạng trở lại: báo động hết mà không ai phải bấm gì ngoài xác nhận.
# The gateway comes back.
wards
rules network
device nut gateway
subscribe hatang "Trung tâm Chuyển đổi số" priority 2
00:00..00:05 every 1m nut uplink_rtt=20
00:20
-> hatang raised network-node-silent nut
= network-node-silent nut unacknowledged
00:21 acknowledge network-node-silent nut by Chi saying "Đã gọi nhà mạng"
-> hatang acknowledged network-node-silent nut
00:25 nut uplink_rtt=25
-> hatang cleared network-node-silent nut
= none
