# Bật lại từ xa, đèn sáng năm phút thì hết báo động.
# Switched on again.
wards
rules power-lighting
device den street-light
subscribe chieusang "Đơn vị chiếu sáng công cộng"
19:00..19:25 every 1m den lamp=0
-> chieusang raised light-off-at-night den
19:26 acknowledge light-off-at-night den by Chi saying "Đã bật lại từ xa"
-> chieusang acknowledged light-off-at-night den
19:27..19:35 every 1m den lamp=1
-> chieusang cleared light-off-at-night den
= none
