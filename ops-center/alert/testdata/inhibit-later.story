# The cause may show after what it causes; a device may inhibit itself.
device a noise
rules
  - id: very-loud
    inhibits: {rules: [loud]}
    when: {threshold: {quantity: noise, above: 100}}
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:30 a noise=105
> very-loud a unacknowledged
00:31 tick
> loud a suppressed
01:00 a noise=90
> very-loud a returned
01:01 tick
> loud a unacknowledged
