# What was put aside by hand stays so; the plan covers it when the shelf ends.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 shelve loud a by Lan for 1m
> loud a shelved
00:20 plan Hoa until 30:00 device=a
00:30 tick
= loud a shelved shelved-by Lan
01:10 tick
> loud a unacknowledged
01:11 tick
> loud a suppressed
