# Work is planned at a device: what it raises meanwhile is expected, and shows when
# the plan is over and it still holds.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 plan Hoa from 01:00 until 05:00 device=a
00:30 a noise=85
> loud a unacknowledged
01:00 tick
> loud a suppressed
= loud a suppressed covered-by plan
02:00 a noise=50
> loud a suppressed
02:01 tick
> loud a normal
03:00 a noise=90
> loud a suppressed
05:00 tick
> loud a unacknowledged
