# Quá tải nửa giờ mới báo; quá tải năm phút lúc tan tầm là thường.
# Half an hour of overload is told of, five minutes are not.
wards
rules power-lighting
device mba transformer
subscribe dienluc "Điện lực" rule power-overload
17:00..17:05 every 1m mba load=130
17:06..17:10 every 1m mba load=90
17:11..17:45 every 1m mba load=125
-> dienluc raised power-overload mba
= power-overload mba unacknowledged
