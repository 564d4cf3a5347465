# Tiếng ồn chỉ là vi phạm vào ban đêm.
# Noise is a matter of the night.
rules
  - id: on-dem
    owner: Sở Nông nghiệp và Môi trường
    category: Env
    schedule: {hours: ["21:00-06:00"]}
    when: {threshold: {quantity: noise, above: 70, clear: 65, for: 1m}}
end
wards
device on noise
subscribe moitruong "Sở Nông nghiệp và Môi trường"
20:50..20:59 every 20s on noise=75
= none
21:00..21:03 every 20s on noise=75
-> moitruong raised on-dem on
= on-dem on unacknowledged
