# Mười báo động trong mười phút cho một trực ban là quá tải: màn hình chuyển chế độ lũ.
# More than ten alarms in ten minutes for one operator is a flood.
rules
  - id: on
    priority: 4
    when: {threshold: {quantity: noise, above: 80}}
end
wards
device o-1 noise
device o-2 noise
device o-3 noise
device o-4 noise
device o-5 noise
device o-6 noise
device o-7 noise
device o-8 noise
device o-9 noise
device o-10 noise
device o-11 noise
device o-12 noise
07:00..07:00 every 1m o-1 noise=90 & o-2 noise=90 & o-3 noise=90 & o-4 noise=90
= flood calm
07:01..07:01 every 1m o-5 noise=90 & o-6 noise=90 & o-7 noise=90 & o-8 noise=90 & o-9 noise=90 & o-10 noise=90 & o-11 noise=90 & o-12 noise=90
07:01:10
= flood on
= groups 1
07:40
= flood calm
