# Let go by hand; letting go of what nobody holds is no matter.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 claim loud a by Lan
> loud a unacknowledged
00:20 release loud a by Lan
> loud a unacknowledged
= loud a unacknowledged
00:21 release loud a by Lan
00:22 claim loud a by Minh
> loud a unacknowledged
