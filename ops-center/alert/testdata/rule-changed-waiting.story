# A condition that changes while it waits begins to wait again.
device a noise
rules
  - id: long
    when: {threshold: {quantity: noise, above: 70, for: 60s}}
end
00:00 a noise=75
00:30 apply
  - id: long
    when: {threshold: {quantity: noise, above: 60, for: 60s}}
end
00:59 a noise=75
01:05 a noise=75
01:59 a noise=75
> long a unacknowledged
