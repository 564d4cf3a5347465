# Nút mạng không báo về: trực hạ tầng được gọi; thiết bị phía sau không kêu theo.
# A silent gateway calls the duty engineer; what hangs on it raises nothing of its own.
wards
rules network
device nut gateway at 106.12,20.43
device kk-1 air-quality behind nut
device kk-2 air-quality behind nut
subscribe hatang "Trung tâm Chuyển đổi số" priority 1,2,3
00:00..00:05 every 1m nut uplink_rtt=20 & kk-1 pm25=20 & kk-2 pm25=21
00:40
-> hatang raised network-node-silent nut
= network-device-silent kk-1 suppressed because nut, network-device-silent kk-2 suppressed because nut, network-node-silent nut unacknowledged
