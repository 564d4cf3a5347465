# A reason, and no longer than the priority allows: two hours for priority 2.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 shelve loud a by Lan for 10m blind
> refused reason_missing
00:11 shelve loud a by Lan for 2h1m
> refused shelf_too_long
00:12 shelve loud a by Lan for 0s
> refused shelf_too_long
00:13 shelve loud a by Lan for 2h
> loud a shelved
00:14 shelve loud a by Minh for 1h
> conflict Lan
