# Ban ngày đèn tắt là đúng.
# By day a lamp is meant to be off.
wards
rules power-lighting
device den street-light
subscribe chieusang "Đơn vị chiếu sáng công cộng"
10:00..10:40 every 1m den lamp=0
= none
