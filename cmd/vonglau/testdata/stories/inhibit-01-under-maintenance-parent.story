# Nút mạng đang bảo trì: nó không kêu, thiết bị phía sau cũng không.
# Behind a gateway that is worked on nothing is told either.
wards
rules network
device nut gateway
device kk-1 air-quality behind nut
subscribe hatang "Trung tâm Chuyển đổi số"
00:00..00:05 every 1m nut uplink_rtt=20 & kk-1 pm25=20
00:05 maintenance nut until 02:00 because "Thay bộ nguồn" by An
00:40
= network-device-silent kk-1 suppressed because nut, network-node-silent nut suppressed
