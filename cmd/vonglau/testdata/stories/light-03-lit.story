# Đèn sáng ban đêm không có gì để báo.
# A lamp that shines at night is nothing to tell of.
wards
rules power-lighting
device den street-light
subscribe chieusang "Đơn vị chiếu sáng công cộng"
19:00..19:40 every 1m den lamp=1
= none
