# Quá 60 km/h trong phường.
# Too fast within a ward.
rules
  - id: qua-toc-do
    category: Transport
    when: {speed: {layer: wards, above: 60, clear: 50}}
end
wards
device xe bus
subscribe csgt "Cảnh sát giao thông"
06:00 xe speed=55 lon=106.12 lat=20.43
06:00:02 xe speed=72 lon=106.1203 lat=20.43
-> csgt raised qua-toc-do xe
= qua-toc-do xe unacknowledged
06:00:04 xe speed=45 lon=106.1205 lat=20.43
-> csgt cleared qua-toc-do xe
= qua-toc-do xe returned
