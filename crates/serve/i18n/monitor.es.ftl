# Monitorización
nav-monitor = Monitorización
monitor-none = El modelo en uso no se ha revisado todavía.
monitor-none-how = Para la primera revisión, ejecute
monitor-lead = Modelo { $model }, del { $from } al { $to }, frente a su cohorte de entrenamiento. Última revisión: { $at }.
monitor-quiet = Sin alertas abiertas.
monitor-alarmed = { $n ->
    [one] 1 alerta abierta.
   *[other] { $n } alertas abiertas.
 }
monitor-see = Ver alertas
as-table = Ver los datos en tabla

# Cifras
tile-served = Clasificaciones
tile-arrived = { $arrived } casos recibidos, { $confirmed } confirmados
tile-f1 = F1 de las enfermedades comunes
tile-recall = Sensibilidad, enfermedades huérfanas
tile-target = objetivo { $target }
tile-unconfirmed = sin casos confirmados
tile-promised = sin casos confirmados; se espera { $low }–{ $high }
tile-drift = Datos con deriva
tile-of = de { $n }
tile-drifting = otros pacientes u otra medición
tile-same-patients = los mismos pacientes
tile-refused = Filas rechazadas
tile-rows = de { $n } filas nuevas
tile-waiting = Revisiones pendientes
tile-waiting-note = casos que esperan a un médico
figure-long = { $value } ({ $low }–{ $high }; n = { $n })
figure-undefined = sin dato
light-green = correcto
light-amber = vigilar
light-red = alerta
light-grey = pocos casos

# Evolución
trend = Acierto en casos confirmados
trend-lead = Casos que llegaron después del entrenamiento. Donde se revisan los avisos, la sensibilidad es la de las respuestas dadas, como si se conocieran todos los desenlaces. Las líneas verticales son intervalos del 95 %.
trend-none = Todavía no hay casos confirmados con los que medir.
chart-figures-title = F1 y sensibilidad por revisión
chart-f1 = F1 comunes
chart-recall = Sens. huérfanas
chart-target = objetivo { $target }
chart-rate-title = Parte de las comparaciones con deriva, por revisión
chart-drift = Con deriva
rate = Deriva a lo largo del tiempo
rate-lead = Parte de las comparaciones en las que los pacientes difieren de forma notable de los del entrenamiento.
rate-table = Las cifras están en la tabla de

# Alertas
alerts-open = Alertas abiertas
alerts-none = Ninguna. Las reglas se cumplen o faltan casos para juzgarlas.
alerts-more = { $n ->
    [one] Ver 1 alerta más
   *[other] Ver { $n } alertas más
 }
alerts-ended = Alertas terminadas
alert-raised = sin atender
alert-acknowledged = atendida
alert-resolved = terminada
alert-acknowledge = Me ocupo
alert-resolve = Dar por terminada
alert-drift = Deriva en { $name } · { $group }
alert-performance-f1-common = F1 de las enfermedades comunes bajo el objetivo
alert-performance-orphan-recall = Sensibilidad para enfermedades huérfanas bajo el objetivo
alert-calibration = Probabilidades mal calibradas: { $subject }
alert-quality-swapped = Tensiones intercambiadas en el origen { $subject }
alert-quality-refused = Muchas filas rechazadas en el origen { $subject }
detail-drift = Distancia { $distance }; PSI { $psi }; { $n } pacientes.
detail-performance = { $value } (IC 95 % { $low }–{ $high }; n = { $n }); objetivo { $target }.
detail-calibration = { $observed } casos confirmados; el modelo esperaba { $expected } entre { $n }.
detail-quality = { $share } de { $n } filas nuevas; límite { $limit }.

# Deriva
drift = Deriva por dato
drift-lead = Distancia entre la cohorte de entrenamiento y { $group }. La marca es el límite ({ $limit }).
drift-none = Todavía no hay pacientes que comparar.
drift-all = Ver todas las comparaciones, también por origen
drift-major = deriva grande
drift-notable = deriva
drift-slight = cambio leve
drift-stable = estable
drift-few = pocos pacientes
drift-category = { $name } (categoría)
drift-answers = Respuestas del modelo
drift-answer-severity = Gravedad respondida
drift-answer-alarm = Sospecha de enfermedad huérfana
drift-answer-probability = Probabilidad de enfermedad huérfana
group-everybody = todos los pacientes
group-served = los pacientes clasificados
group-arrived = los casos recibidos
group-source = origen { $source }
pictures = Referencia y actual
key-reference = Entrenamiento (n = { $n })
key-window = { $group } (n = { $n })
histogram-title = { $name }: entrenamiento y periodo actual
histogram-summary = Distancia { $distance }: { $state }

# Acierto
classes = Por resultado y tipo de enfermedad
performance-none = No ha llegado ningún caso confirmado en este periodo: no se puede saber cuánto acierta el modelo.
performance-lead = { $n ->
    [one] 1 caso confirmado que el modelo no ha visto al entrenarse.
   *[other] { $n } casos confirmados que el modelo no ha visto al entrenarse.
 }
class-common = Todas las comunes
diseases = Por enfermedad
diseases-lead = Precisión: de quienes reciben la respuesta que corresponde a la enfermedad, la parte que la tiene.
calibration = Calibración
calibration-lead = Cuántos casos de cada clase hubo y cuántos habían prometido las probabilidades.
beside = Lo que se sabe además
beside-expected = Lo que prometen las probabilidades del modelo
beside-expected-note = Solo es cierto si el modelo está calibrado para estos pacientes: una banda, no una prueba.
beside-reviewed = { $n ->
    [one] 1 respuesta revisada
   *[other] { $n } respuestas revisadas
 }
beside-reviewed-note = Se revisan sobre todo las dudosas: el acierto general es mejor. No provocan alertas.
beside-followed = { $n ->
    [one] 1 respuesta con desenlace de un fichero
   *[other] { $n } respuestas con desenlaces de ficheros
 }
beside-followed-note = Desenlaces aportados en el periodo, también de respuestas de modelos anteriores. No provocan alertas.

# Calidad
quality = Calidad de los datos por origen
quality-lead = Filas nuevas del periodo. Un aparato que intercambia los dos valores de la tensión se ve aquí, en su origen.
quality-none = No ha llegado ningún fichero en este periodo.
reason-missing = falta
reason-wrong-type = tipo incorrecto
reason-unknown-code = código desconocido
reason-out-of-range = fuera de rango
reason-inconsistent = incoherente

# Modelos
timeline = Vida del modelo
timeline-lead = Qué modelo respondió, desde cuándo y por qué.
timeline-none = Ningún modelo se ha puesto en uso todavía.

# Columnas
col-date = Fecha
col-model = Modelo
col-group = Quién
col-name = Dato
col-patients = Pacientes
col-distance = Distancia
col-p = p ajustada
col-state = Estado
col-value = Valor
col-reference = Entrenamiento
col-window = Actual
col-class = Grupo
col-cases = Casos
col-precision = Precisión
col-recall = Sensibilidad
col-disease = Enfermedad
col-observed = Confirmados
col-promised = Prometidos
col-origin = De dónde
col-source = Origen
col-accepted = Aceptadas
col-refused = Rechazadas
col-duplicates = Repetidas
col-swapped = Intercambiadas
col-other-refusals = Otros rechazos
col-reasons = Motivos
