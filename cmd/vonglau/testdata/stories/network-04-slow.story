# Đường truyền chậm mười phút mới đáng báo, một gói chậm thì không.
# A slow packet is nothing, ten slow minutes are a slow uplink.
wards
rules network
device nut gateway
subscribe hatang "Trung tâm Chuyển đổi số" rule network-slow
00:00 nut uplink_rtt=3000
00:01..00:05 every 1m nut uplink_rtt=40
00:06..00:18 every 1m nut uplink_rtt=1500
-> hatang raised network-slow nut
= network-slow nut unacknowledged
00:19..00:32 every 1m nut uplink_rtt=50
-> hatang cleared network-slow nut
= network-slow nut returned
