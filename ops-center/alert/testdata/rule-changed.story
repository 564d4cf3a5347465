# A threshold that is raised while an alarm stands: the next reading decides.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80, for: 30s}}
end
00:00 a noise=85
00:30 a noise=85
> loud a unacknowledged
00:40 apply
  - id: loud
    when: {threshold: {quantity: noise, above: 90, for: 30s}}
end
00:50 a noise=95
= loud a unacknowledged
01:00 a noise=85
> loud a returned
