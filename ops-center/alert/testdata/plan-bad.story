# A plan names something, and ends after it begins.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
01:00 plan Hoa until 05:00
> refused bad_plan
01:01 plan Hoa until 00:30 device=a
> refused bad_plan
01:02 plan Hoa until 05:00 zone=wards
> refused bad_plan
