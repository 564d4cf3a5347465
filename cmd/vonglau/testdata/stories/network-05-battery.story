# Nút chạy pin dưới 50 %: kiểm tra nguồn lưới.
# A gateway on battery.
wards
rules network
device nut gateway
subscribe hatang "Trung tâm Chuyển đổi số" rule network-on-battery
00:00..00:03 every 1m nut battery=96
00:04..00:12 every 1m nut battery=45
-> hatang raised network-on-battery nut
= network-on-battery nut unacknowledged
